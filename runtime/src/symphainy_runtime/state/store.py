"""The port of the state store: an ordered map of bytes, written in atomic batches (rule 17).

A store is a cache of the journal. Whoever opens one must expect it missing, damaged or older, and
rebuild it; nothing in it is the only copy of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from symphainy_schemas.errors import SymphainyError

Write = tuple[bytes, bytes | None]


class StoreBroken(SymphainyError):
    """The store cannot be opened, read or written.

    Operator action: none while it happens once, the owner rebuilds it; else look at the disk.
    """

    code = "store_broken"


class View(Protocol):
    """Reading."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`.

        Raises:
            StoreBroken: it cannot be read.
        """
        ...

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The entries with start <= key < end in ascending order of their keys, at most `limit`.

        Raises:
            StoreBroken: it cannot be read.
        """
        ...


class Snapshot(Protocol):
    """A store as it was at one moment; later writes do not show. May be read by another thread."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` at that moment.

        Raises:
            StoreBroken: it was released, or the store was closed or cleared; or it cannot be read.
        """
        ...

    def release(self) -> None:
        """Let go of it; harmless after the store was closed, and when repeated."""
        ...


class StateStore(View, Protocol):
    """One partition's store. Belongs to one thread."""

    def write(self, batch: Sequence[Write]) -> None:
        """Set every key to its value, None removes it; all of it or nothing, in this order.

        A crash of the process loses nothing of it; a crash of the machine may lose the latest
        batches, never part of one.

        Raises:
            StoreBroken: it cannot be written; it still holds the last batch, or nothing.
        """
        ...

    def clear(self) -> None:
        """Remove everything.

        Raises:
            StoreBroken: it cannot be removed.
        """
        ...

    def snapshot(self) -> Snapshot:
        """The store as it is now."""
        ...

    def close(self) -> None:
        """Give it up; others may open it. Harmless when repeated."""
        ...


class Stores(Protocol):
    """The stores of one owner."""

    def open(self, partition: int) -> StateStore:
        """The partition's store as it was last written, or an empty one.

        What cannot be opened is removed, and an empty one is made in its place.

        Raises:
            StoreBroken: not even an empty one can be made, or it is open already.
        """
        ...

    def drop(self, partition: int) -> None:
        """Remove a store that is closed.

        Raises:
            StoreBroken: it cannot be removed.
        """
        ...
