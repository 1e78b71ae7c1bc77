"""Breadth-first exploration of small models: every reachable state, the shortest way to a bad one.

A model is a start state and a function that yields what can happen next as (label, state). States
are hashable values. Nothing here knows any model.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)
Successors = Callable[[State], Iterable[tuple[str, State]]]
Invariant = Callable[[State], str | None]
# About a gigabyte of states. A model that needs more is cut by its own bounds, by name.
MOST_STATES = 1_500_000


class TooManyStates(Exception):
    """The model is larger than the limit, so nothing can be said of all of it."""


@dataclass(frozen=True)
class Violation:
    """What is wrong in one state, and the shortest way there."""

    sentence: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.trace, f"=> {self.sentence}"))


@dataclass(frozen=True)
class Explored(Generic[State]):
    """Every state found, each with the state before it and the label between them."""

    origins: Mapping[State, tuple[State, str] | None] = field(repr=False)
    violation: Violation | None

    @property
    def states(self) -> int:
        """How many different states were found; all that there are, if none is bad."""
        return len(self.origins)

    def trace(self, state: State) -> tuple[str, ...]:
        """The labels of a shortest way from the start to `state`."""
        return _trace(self.origins, state)


def explore(
    start: State,
    successors: Successors[State],
    invariant: Invariant[State],
    limit: int = MOST_STATES,
) -> Explored[State]:
    """Visit all states, nearest first; stop at the first in which `invariant` has a complaint.

    Raises:
        TooManyStates: there are more than `limit`; no verdict is given on a part.
    """
    origins: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    with _no_cycles():
        while waiting:
            state = waiting.popleft()
            sentence = invariant(state)
            if sentence is not None:
                return Explored(origins, Violation(sentence, _trace(origins, state)))
            for label, following in successors(state):
                origin = (state, label)
                if origins.setdefault(following, origin) is origin:
                    waiting.append(following)
            if len(origins) > limit:
                raise TooManyStates(f"more than {limit} states")
    return Explored(origins, None)


def up_to(symmetry: Callable[[State], State], successors: Successors[State]) -> Successors[State]:
    """The same successors, one for all that `symmetry` maps to it: fewer states, labels that may
    name the wrong one."""
    return lambda state: ((label, symmetry(found)) for label, found in successors(state))


def stranded(
    states: Iterable[State],
    successors: Successors[State],
    arrived: Callable[[State], bool],
    limit: int = MOST_STATES,
) -> list[State]:
    """Those of `states`, in their order, from which `successors` never lead to one that `arrived`.

    Raises:
        TooManyStates: more than `limit` states can be reached from them.
    """
    asked = list(states)
    before: dict[State, list[State]] = {state: [] for state in asked}
    waiting, goals = deque(asked), []
    while waiting:
        state = waiting.popleft()
        if arrived(state):
            goals.append(state)
            continue
        for _, following in successors(state):
            if following not in before:
                before[following] = []
                waiting.append(following)
            before[following].append(state)
        if len(before) > limit:
            raise TooManyStates(f"more than {limit} states")
    saved, back = set(goals), deque(goals)
    while back:
        for state in before[back.popleft()]:
            if state not in saved:
                saved.add(state)
                back.append(state)
    return [state for state in asked if state not in saved]


@contextmanager
def _no_cycles() -> Iterator[None]:
    """States are tuples of tuples: the collector would walk all of them, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _trace(origins: Mapping[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    labels = []
    origin = origins[state]
    while origin is not None:
        state, label = origin
        labels.append(label)
        origin = origins[state]
    return tuple(reversed(labels))
