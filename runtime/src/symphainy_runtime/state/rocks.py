"""State stores on RocksDB: one directory a partition, one budget of memory a process.

Batches go through RocksDB's log, unsynced: the kernel has them when `write` returns, so the death
of the process loses none. The log is replayed up to its first damaged record, so what the death of
the machine leaves is whole batches, in order.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock
from time import sleep
from types import TracebackType
from typing import cast
from weakref import WeakSet

import rocksdict as rocks

from symphainy_runtime.state import manifest
from symphainy_runtime.state.gaps import Gaps
from symphainy_runtime.state.store import StoreBroken, Write

log = logging.getLogger(__name__)

_MIB = 1 << 20
# Cached blocks, indexes, filters and memtables of all partitions of a process. RocksDB may exceed
# it by what is pinned: a memtable that is being flushed, the blocks of a running read.
MEMORY_BYTES = 128 * _MIB
# A partition's memtable: about 15,000 states. Larger ones make the takeover after a crash slower,
# which replays it; smaller ones write more often what changes often.
MEMTABLE_BYTES = 16 * _MIB
# A partition's files kept open, the others are reopened when read. A million states of 1 KB are
# 30 files; 8 partitions stay below half of the 1,024 that systems commonly allow a process.
OPEN_FILES = 64
# RocksDB writes a log of its own even when idle: at most two files of this size a partition.
INFO_LOG_BYTES = _MIB
# RocksDB stalls writes while its files wait to be compacted. A flood is compacted in a second or
# two; what takes 5 s is a disk that is full or does not answer. Far below a session timeout.
STALL_TRIES, STALL_PAUSE_S = 500, 0.01
_STALL_FILES = 36  # RocksDB's own limit; its slowdown from 20 on would be a stall here
_FOREIGN = (rocks.DbClosedError, OSError)
_LOOK_AT_THE_DISK = "Look at the disk: its space, its permissions, its health."
_HELD = "Stop the process that has it open, or give each process a folder of its own."


class RocksStores:
    """Implements `store.Stores` in `folder`/<partition>."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        """All its stores share `memory_bytes`; half of it at most is memtables."""
        self._folder = folder
        self._cache = rocks.Cache(memory_bytes)
        self._options = _options(self._cache, memory_bytes // 2)

    def memory_used(self) -> int:
        """How many bytes of the budget are in use, by all stores together."""
        return self._cache.get_usage()

    def open(self, partition: int) -> RocksStore:
        """The partition's store as it was last written, or an empty one.

        Raises:
            StoreBroken: not even an empty one can be made, or it is open, here or elsewhere.
        """
        place = self._place(partition)
        try:
            return RocksStore(place)
        except StoreBroken as error:
            # Removing is refused where somebody has it open, so only what nobody can use goes.
            place.remove()
            log.warning("the store of partition %d was unusable and is gone: %s", partition, error)
        return RocksStore(place)

    def drop(self, partition: int) -> None:
        """Remove a store that is closed.

        Raises:
            StoreBroken: it is open, or the disk refuses.
        """
        self._place(partition).remove()

    def _place(self, partition: int) -> _Place:
        return _Place(self._folder / str(partition), self._options)


class _Place:
    """One store's directory, and the door at which RocksDB's errors become ours."""

    def __init__(self, path: Path, options: rocks.Options) -> None:
        self.path = path
        self._options = options

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # rocksdict raises bare Exception for whatever RocksDB reports; what is narrower, say a
        # KeyError for a key that is not bytes, is a fault of the caller and stays what it is.
        if kind is None or not (kind is Exception or issubclass(kind, _FOREIGN)):
            return
        cure = _HELD if "/LOCK: " in str(error) else _LOOK_AT_THE_DISK
        raise StoreBroken(f"State store {self.path}: {error}.", cure=cure) from error

    def connect(self) -> rocks.Rdict:
        """Open it, empty if there is none."""
        with self:
            if found := manifest.damage(self.path):
                raise StoreBroken(f"State store {self.path}: {found}.")
            # Without the second, an existing store opens with the options it was written with:
            # a cache of its own, outside the budget.
            db = rocks.Rdict(str(self.path), self._options, {"default": self._options})
            # A stalled write would wait for the disk holding the interpreter's lock; see `write`.
            writing = rocks.WriteOptions()
            writing.no_slowdown = True
            db.set_write_options(writing)
            return db

    def remove(self) -> None:
        """Remove it whatever is in it, unless somebody has it open."""
        with self:
            if self.path.is_dir():
                rocks.Rdict.destroy(str(self.path), self._options)  # takes the lock first
                with suppress(FileNotFoundError):
                    shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)


class RocksStore:
    """Implements `store.StateStore`."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._connect()
        self._gaps = Gaps()
        self._snapshots: WeakSet[RocksSnapshot] = WeakSet()

    def _connect(self) -> None:
        self._db = self._place.connect()
        with self._place:
            self._manifest = manifest.Manifest(self._place.path, self._oldest_log)
            self._manifest.note()

    def _oldest_log(self) -> int | None:
        if self._db.property_int_value("rocksdb.num-running-flushes"):
            return None  # it writes the list, syncs it, and only then remembers it
        return self._db.property_int_value("rocksdb.min-log-number-to-keep")

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`."""
        with self._place:
            value: bytes | None = self._db.get(key)
            return value

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The entries in [start, end), at most `limit`."""
        seek = self._gaps.behind(start)
        if seek >= end or limit <= 0:
            return []
        # RocksDB keeps a pointer to the bound, not a copy: `end` must outlive the iterators.
        options = rocks.ReadOptions()
        options.set_iterate_upper_bound(end)
        with self._place:
            items = self._db.items(from_key=seek, read_opt=options)
            found = cast(list[tuple[bytes, bytes]], list(islice(items, limit)))
            del items
            if len(found) < limit:
                self._check_end(found[-1][0] + b"\0" if found else seek, options)
        self._gaps.found(start, found[0][0] if found else end)
        return found

    def _check_end(self, start: bytes, options: rocks.ReadOptions) -> None:
        """An iterator ends at a damaged block as it does at the end of its range; ask which."""
        iterator = self._db.iter(options)
        try:
            iterator.seek(start)
            iterator.status()
            if iterator.valid():
                raise StoreBroken(f"State store {self._place.path}: a read ended too early.")
        finally:
            # The traceback of an error would keep it, and it would keep the database open.
            del iterator

    def write(self, batch: Sequence[Write]) -> None:
        """Set or remove keys, all of them or none."""
        self._gaps.written([key for key, value in batch if value is not None])
        with self._place:
            for _ in range(STALL_TRIES):
                try:
                    self._db.write(_native(batch))
                    self._manifest.note()
                    return
                except Exception as error:
                    if "Write stall" not in str(error):
                        raise
                sleep(STALL_PAUSE_S)
        raise StoreBroken(
            f"State store {self._place.path}: the disk does not keep up with what is written.",
            cure=_LOOK_AT_THE_DISK,
        )

    def clear(self) -> None:
        """Remove everything by starting anew, which heals a damaged store; snapshots end."""
        self.close()
        self._place.remove()
        self._connect()

    def snapshot(self) -> RocksSnapshot:
        """The store as it is now; it costs nothing but what is overwritten meanwhile."""
        with self._place:
            snapshot = RocksSnapshot(self._db.snapshot(), self._place)
        self._snapshots.add(snapshot)
        return snapshot

    def close(self) -> None:
        """Give it up; the next to open it replays its log."""
        for snapshot in self._snapshots:  # each would keep the database open
            snapshot.release()
        try:
            # Else closing writes the memtable to a table file first, and waits for the room to do
            # so: for ever on a full disk, a quarter of a second on a sound one.
            self._db.cancel_all_background(True)
            self._manifest.note()
            self._db.close()
        except rocks.DbClosedError:
            pass
        except Exception as error:  # bare Exception, as everywhere; the database is closed
            if str(error) != "Shutdown in progress: ":
                log.warning("state store %s, closing: %s", self._place.path, error)


def _native(batch: Sequence[Write]) -> rocks.WriteBatch:
    writes = rocks.WriteBatch(raw_mode=True)
    for key, value in batch:
        if value is None:
            del writes[key]
        else:
            writes[key] = value
    return writes


class RocksSnapshot:
    """Implements `store.Snapshot`."""

    def __init__(self, native: rocks.Snapshot, place: _Place) -> None:
        self._native: rocks.Snapshot | None = native
        self._place = place
        self._lock = Lock()  # a store may be closed while another thread reads

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` at that moment.

        Raises:
            StoreBroken: it cannot be read, it was released, or its store was closed or cleared.
        """
        with self._lock, self._place:
            if self._native is None:
                raise StoreBroken(f"State store {self._place.path}: the snapshot has ended.")
            try:
                value: bytes = self._native[key]
            except Exception as error:
                if str(error) == "key not found":  # rocksdict has no narrower error for it
                    return None
                raise
            return value

    def release(self) -> None:
        """Let go of it."""
        with self._lock:
            self._native = None


def _options(cache: rocks.Cache, memtables_bytes: int) -> rocks.Options:
    table = rocks.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)  # else they lie outside the budget
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, False)  # new ids are asked for before they exist
    options = rocks.Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_manager(
        rocks.WriteBufferManager.new_write_buffer_manager_with_cache(memtables_bytes, False, cache)
    )
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(4)  # one is written to while three wait for the disk
    options.set_level_zero_slowdown_writes_trigger(_STALL_FILES)
    options.set_level_zero_stop_writes_trigger(_STALL_FILES)
    # On every level: states of 1 KB shrink to 0.43 of it, reads and writes take no longer.
    options.set_compression_type(rocks.DBCompressionType.lz4())
    # Where half of a window of 4,096 keys are removals, the file is compacted at once: seconds
    # after a burst its removals are gone, which else wait for the next burst.
    options.add_compact_on_deletion_collector_factory(4_096, 2_048, 0.5)
    options.set_wal_recovery_mode(rocks.DBRecoveryMode.point_in_time())
    options.set_max_open_files(OPEN_FILES)
    options.set_max_log_file_size(INFO_LOG_BYTES)
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
