"""What state stores on RocksDB cost does not grow with what happened to them.

- All stores of a process share one budget of memory, whatever options their files carry.
- A scan from the front of a queue does not step over what was removed from its front.
- Closing a store does not write what is in memory to tables.
- RocksDB's own logs stay small, however often a store is opened.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from time import perf_counter

from symphainy_runtime.state.rocks import INFO_LOG_BYTES, RocksStores
from symphainy_runtime.state.store import StateStore

MIB = 1 << 20


def fill(store: StateStore, mib: int) -> None:
    random = Random(mib)
    for start in range(0, mib * 1_000, 500):
        store.write([(b"%06d" % n, random.randbytes(1_000)) for n in range(start, start + 500)])


def test_all_stores_share_one_budget_also_when_they_are_opened_again(tmp_path: Path) -> None:
    budget = 8 * MIB
    stores = RocksStores(tmp_path, budget)
    for partition in range(4):
        store = stores.open(partition)
        fill(store, 6)
        store.close()
    assert stores.memory_used() < MIB
    opened = [stores.open(partition) for partition in range(4)]
    for store in opened:
        for n in range(0, 6_000, 3):
            assert store.get(b"%06d" % n) is not None
    # A store that opened with the options in its files would use a cache outside the budget.
    assert 0.8 * budget < stores.memory_used() < 1.2 * budget
    for store in opened:
        fill(store, 2)
        assert stores.memory_used() < 1.5 * budget


def test_a_scan_does_not_step_over_what_was_removed_in_front(tmp_path: Path) -> None:
    """Timed against a scan from a start that the store has not seen yet, which does."""
    store = RocksStores(tmp_path).open(0)
    keys = [b"t" + n.to_bytes(8, "big") for n in range(200_000)]
    queued, removed, took = 2_000, 0, []
    for start in range(0, len(keys), 1_000):
        store.write([(key, b"") for key in keys[start : start + 1_000]])
        if start >= queued:
            store.write([(key, None) for key in keys[removed : removed + 1_000]])
            removed += 1_000
        began = perf_counter()
        found = store.scan(b"t", b"u", 1)
        took.append(perf_counter() - began)
        assert found == [(keys[removed], b"")]
    began = perf_counter()
    assert store.scan(b"t\0", b"u", 1) == found
    unseen = perf_counter() - began
    assert sorted(took)[len(took) // 2] < unseen / 10


def test_logs_of_rocksdb_stay_small(tmp_path: Path) -> None:
    stores = RocksStores(tmp_path)
    for _ in range(12):
        stores.open(0).close()
    logs = list((tmp_path / "0").glob("LOG*"))
    assert 1 <= len(logs) <= 3
    assert sum(log.stat().st_size for log in logs) <= 3 * INFO_LOG_BYTES
    everything = sum(path.stat().st_size for path in (tmp_path / "0").iterdir())
    assert everything < MIB


def test_closing_does_not_wait_for_a_table_to_be_written(tmp_path: Path) -> None:
    """On a full disk that would be for ever; the log has it all."""
    stores = RocksStores(tmp_path)
    store = stores.open(0)
    fill(store, 4)
    store.close()
    assert list((tmp_path / "0").glob("*.sst")) == []
    assert len(stores.open(0).scan(b"", b"\xff", 5_000)) == 4_000
