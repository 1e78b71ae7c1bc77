"""What is sealed in an execution, as whoever decides about it may look at it.

An execution's state holds content as it was sealed, and so do the journal, `state` and every disk;
no fold opens any of it. Only what decides does, where a plan has parts of payload and results
carried on or compared: it asks here. What is asked is installed once a process, by whoever has the
keys (`owner.kafka.shell`); where nobody does, nothing is sealed.

Content that was shredded is null to a decision, as all is that is not found. No handler gets what
follows from that: nothing of a shredded tenant is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec


class Contents(Protocol):
    """What opens and seals the content of one tenant."""

    @property
    def index(self) -> bytes:
        """Keys hashes of content; empty where that is not sealed."""
        ...

    def reveal(self, value: Any) -> Any:
        """A JSON value with nothing sealed in it; asked where something may be."""
        ...

    def seal(self, context: str, raw: bytes) -> bytes:
        """JSON, sealed if the tenant's content is."""
        ...

    def __hash__(self) -> int:
        """The same while the keys are."""
        ...


class _Plain:
    """Nothing is sealed."""

    index = b""

    def reveal(self, value: Any) -> Any:
        return value

    def seal(self, context: str, raw: bytes) -> bytes:
        return raw


_PLAIN = _Plain()
SEALED = b"$sealed"
"""Stands in all that holds sealed content."""
_installed: Callable[[str], Contents] = lambda tenant_id: _PLAIN  # noqa: E731


def install(of: Callable[[str], Contents]) -> Callable[[str], Contents]:
    """Have content opened and sealed by what `of` gives for a tenant; what did before."""
    global _installed
    before, _installed = _installed, of
    return before


def contents(tenant_id: str) -> Contents:
    """What opens and seals the tenant's content."""
    return _installed(tenant_id)


def read(tenant_id: str, raw: bytes | None) -> Any:
    """JSON with nothing sealed in it; None for nothing."""
    if not raw:
        return None
    value = msgspec.json.decode(raw)
    return contents(tenant_id).reveal(value) if SEALED in raw else value
