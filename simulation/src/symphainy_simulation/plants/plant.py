"""What a planted bug is, and how it is put in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Patch:
    """One name of a class or module, and what takes its place, made from what was there."""

    owner: Any
    name: str
    make: Callable[[Any], Any]


@dataclass(frozen=True)
class Plant:
    """A bug."""

    name: str
    rule: str
    """The rule that it breaks, by its number in docs/journal-protocol.md."""
    sentence: str
    patches: tuple[Patch, ...]


@contextmanager
def planted(plant: Plant | None) -> Iterator[None]:
    """The bug is there inside, and gone after."""
    before = [(p.owner, p.name, p.owner.__dict__[p.name]) for p in plant.patches] if plant else []
    try:
        for patch in plant.patches if plant else ():
            setattr(patch.owner, patch.name, patch.make(patch.owner.__dict__[patch.name]))
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
