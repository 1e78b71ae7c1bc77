"""A state store in memory: for readers that keep nothing, for simulation, beside the real one."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

from sortedcontainers import SortedDict

from symphainy_runtime.state.store import StoreBroken, Write


class MemoryStore:
    """Implements `store.StateStore`; it is gone with the process."""

    def __init__(self, entries: SortedDict[bytes, bytes] | None = None) -> None:
        """Reads and writes `entries` in place."""
        self._kept: SortedDict[bytes, bytes] = SortedDict() if entries is None else entries
        self._snapshots: WeakSet[MemorySnapshot] = WeakSet()
        self.closed = False

    @property
    def _entries(self) -> SortedDict[bytes, bytes]:
        if self.closed:
            raise StoreBroken("The store is closed.")
        return self._kept

    def beside(self) -> MemoryStore:
        """Another store on the same entries; each is closed by itself."""
        return MemoryStore(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        return self._entries.get(key)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The entries in [start, end), at most `limit`."""
        entries = self._entries
        found: list[tuple[bytes, bytes]] = []
        for key in entries.irange(start, end, (True, False)):
            if len(found) == limit:
                break
            found.append((key, entries[key]))
        return found

    def write(self, batch: Sequence[Write]) -> None:
        """Set or remove keys."""
        entries = self._entries
        for key, value in batch:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value

    def clear(self) -> None:
        """Remove everything."""
        self._entries.clear()
        self._end_snapshots()

    def snapshot(self) -> MemorySnapshot:
        """A copy."""
        snapshot = MemorySnapshot(dict(self._entries))
        self._snapshots.add(snapshot)
        return snapshot

    def close(self) -> None:
        """Refuse everything from here on."""
        self.closed = True
        self._end_snapshots()

    def _end_snapshots(self) -> None:
        for snapshot in self._snapshots:
            snapshot.release()


class MemorySnapshot:
    """Implements `store.Snapshot`."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        self._entries: dict[bytes, bytes] | None = entries

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        entries = self._entries
        if entries is None:
            raise StoreBroken("The snapshot is released, or its store was closed.")
        return entries.get(key)

    def release(self) -> None:
        """Let go."""
        self._entries = None


class MemoryStores:
    """Implements `store.Stores`; what a store holds outlives its close, as on a disk."""

    def __init__(self) -> None:
        self._disk: dict[int, SortedDict[bytes, bytes]] = {}
        self._opened: dict[int, MemoryStore] = {}

    def open(self, partition: int) -> MemoryStore:
        """The partition's store as it was last written."""
        self._refuse_open(partition)
        store = MemoryStore(self._disk.setdefault(partition, SortedDict()))
        self._opened[partition] = store
        return store

    def drop(self, partition: int) -> None:
        """Remove a store that is closed."""
        self._refuse_open(partition)
        self._disk.pop(partition, None)

    def _refuse_open(self, partition: int) -> None:
        store = self._opened.get(partition)
        if store is not None and not store.closed:
            raise StoreBroken(f"The store of partition {partition} is open.", cure="Close it.")
