"""The disks of owners: what survives kill -9, what a machine's crash takes, what goes bad.

A partition's files are a `MemoryStore`; beside it lie the batches that a crash of the machine would
undo, and copies from earlier on. Who opens it has a store of its own on the same entries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from symphainy_processors.fold import layout
from symphainy_runtime.state.memory import MemoryStore
from symphainy_runtime.state.store import Snapshot, StoreBroken, Write

UNSYNCED = 4  # batches that a crash of the machine may take
COPY_EVERY = 6  # batches between copies that somebody may put back
Call = Callable[[], None]


class Files:
    """One partition's files."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        """What stands there, whether or not an owner has it open."""
        self.undo: deque[list[Write]] = deque(maxlen=UNSYNCED)
        self.copies: deque[tuple[dict[bytes, bytes], bool]] = deque(maxlen=3)
        """From earlier on, each with whether it was trusted."""
        self.batches = 0
        self.opened_by: object | None = None
        self.trusted = True
        """Whether what stands here is what an owner wrote."""

    def write(self, batch: Sequence[Write]) -> None:
        """A batch, and how to undo it."""
        before = {key: self.store.get(key) for key, _ in batch}
        self.undo.append(list(before.items()))
        self.store.write(batch)
        self.batches += 1
        if self.batches % COPY_EVERY == 0:
            self.copies.append((self.entries(), self.trusted))

    def entries(self) -> dict[bytes, bytes]:
        """Everything."""
        return dict(self.store.scan(b"", b"\xff" * 64, 1 << 30))

    def replace(self, entries: dict[bytes, bytes]) -> None:
        """Other files altogether."""
        self.store.clear()
        self.store.write(list(entries.items()))
        self.undo.clear()

    def lose_latest(self, batches: int) -> None:
        """The machine crashed: its latest batches are gone."""
        for _ in range(min(batches, len(self.undo))):
            self.store.write(self.undo.pop())


class Disk:
    """One owner's disk."""

    def __init__(self, chance: Random) -> None:
        self.files: dict[int, Files] = {}
        self.broken_in: int | None = None
        """After how many more operations one fails with StoreBroken."""
        self._chance = chance

    def of(self, partition: int) -> Files:
        """A partition's files."""
        return self.files.setdefault(partition, Files())

    def process_died(self) -> None:
        """Nobody has anything open."""
        for files in self.files.values():
            files.opened_by = None

    # --- faults ---------------------------------------------------------------------------------

    def machine_crash(self) -> None:
        """Each partition loses some of its latest batches."""
        for _, files in sorted(self.files.items()):
            files.lose_latest(self._chance.randint(0, UNSYNCED))

    def lose(self) -> None:
        """A new, empty disk."""
        self.files = {}

    def put_back(self) -> None:
        """An older copy stands there."""
        for _, files in sorted(self.files.items()):
            if files.copies:
                copy, files.trusted = self._chance.choice(list(files.copies))
                files.replace(copy)

    def corrupt(self) -> None:
        """The checkpoints are damaged."""
        for _, files in sorted(self.files.items()):
            found = files.store.get(layout.CHECKPOINT)
            if found:
                at = self._chance.randrange(len(found))
                damaged = [found[:at], b"", b"\xc1" + found, b"\x80"][self._chance.randrange(4)]
                files.store.write([(layout.CHECKPOINT, damaged)])
                files.trusted = False

    def swap(self) -> None:
        """Somebody mixed up the folders of two partitions."""
        places = sorted(self.files)
        if len(places) > 1:
            one, other = self._chance.sample(places, 2)
            self.files[one], self.files[other] = self.files[other], self.files[one]
            for files in (self.files[one], self.files[other]):
                files.trusted = False
                files.copies = deque(((copy, False) for copy, _ in files.copies), maxlen=3)


class SimStore:
    """Implements `store.StateStore` on a disk. `call` is where its process may die."""

    def __init__(self, disk: Disk, partition: int, call: Call) -> None:
        self._disk = disk
        self._files = disk.of(partition)
        self._store = self._files.store.beside()
        self._call = call
        self._files.opened_by = self

    def _operate(self) -> None:
        self._call()
        if self._store.closed:
            raise StoreBroken("The store is closed.")
        disk = self._disk
        if disk.broken_in is not None:
            disk.broken_in -= 1
            if disk.broken_in < 0:
                disk.broken_in = None
                raise StoreBroken("The disk does not take it.")

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        return self._store.get(key)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The entries in [start, end), at most `limit`."""
        return self._store.scan(start, end, limit)

    def write(self, batch: Sequence[Write]) -> None:
        """All of it or nothing."""
        self._operate()
        self._files.write(batch)
        self._call()

    def clear(self) -> None:
        """Remove everything."""
        self._operate()
        self._files.replace({})
        self._files.trusted = True
        self._store.clear()

    def snapshot(self) -> Snapshot:
        """The store as it is now."""
        return self._store.snapshot()

    def close(self) -> None:
        """Give it up."""
        self._store.close()
        if self._files.opened_by is self:
            self._files.opened_by = None


class SimStores:
    """Implements `store.Stores`."""

    def __init__(self, disk: Disk, call: Call) -> None:
        self._disk = disk
        self._call = call

    def open(self, partition: int) -> SimStore:
        """The partition's store."""
        self._call()
        self._refuse_open(partition)
        return SimStore(self._disk, partition, self._call)

    def drop(self, partition: int) -> None:
        """Remove a store that is closed."""
        self._call()
        self._refuse_open(partition)
        self._disk.files.pop(partition, None)

    def _refuse_open(self, partition: int) -> None:
        if self._disk.of(partition).opened_by is not None:
            raise StoreBroken(f"The store of partition {partition} is open.")
