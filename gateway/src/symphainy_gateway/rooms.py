"""Bounded rooms: how much of one thing the process holds at once. They know no HTTP and no Kafka.

One holder, a tenant or a partition, has at most half of a room, so that it cannot keep everybody
else out. Used from one event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import TracebackType

ENDLESS = 1 << 62


class Room:
    """So many things, of so many bytes together."""

    def __init__(self, places: int, size: int = ENDLESS) -> None:
        """`size` in bytes."""
        self._places, self._size = places, size
        self._share, self._size_share = max(1, places // 2), size // 2
        self.count = 0
        self.bytes = 0
        self._holders: dict[Hashable, tuple[int, int]] = {}

    def enter(self, holder: Hashable, size: int = 0) -> bool:
        """Take a place for `size` bytes; False if there is none.

        An empty room takes whatever comes: otherwise a thing larger than the room never could.
        """
        count, held = self._holders.get(holder, (0, 0))
        if self.count and (
            self.count >= self._places
            or count >= self._share
            or self.bytes + size > self._size
            or held + size > self._size_share
        ):
            return False
        self.count += 1
        self.bytes += size
        self._holders[holder] = count + 1, held + size
        return True

    def leave(self, holder: Hashable, size: int = 0) -> None:
        """Give a place back, with what it was taken for."""
        count, held = self._holders[holder]
        self.count -= 1
        self.bytes -= size
        if count == 1:
            del self._holders[holder]
        else:
            self._holders[holder] = count - 1, held - size


class Place:
    """A place in a room, held within a `with`; `refusal` makes the error where there is none."""

    __slots__ = ("_holder", "_refusal", "_room", "_size")

    def __init__(
        self, room: Room, refusal: Callable[[], Exception], holder: Hashable, size: int = 0
    ) -> None:
        self._room, self._refusal, self._holder, self._size = room, refusal, holder, size

    def __enter__(self) -> None:
        if not self._room.enter(self._holder, self._size):
            raise self._refusal()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._room.leave(self._holder, self._size)
