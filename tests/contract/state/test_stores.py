"""The contract of state stores (`state/store.py`), held against the real one and its doubles.

- Keys are ordered as bytes; a scan is half-open, ascending and bounded.
- A batch is written in its order: the later write of a key wins, None removes.
- A snapshot does not change, may be read by another thread, and ends with its store.
- What was written is there after close and open; what was dropped or cleared is not.
- A store has one user at a time; a closed one refuses, and never ends the process.
- Any history of writes, reads, snapshots, closes and clears reads like a sorted dict.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from symphainy_runtime.state.memory import MemoryStores
from symphainy_runtime.state.rocks import RocksStores
from symphainy_runtime.state.store import Snapshot, StateStore, StoreBroken, Stores, Write
from symphainy_simulation.world.disk import Disk, SimStores

LAST = b"\xff" * 9  # behind every key of these tests
ENTRIES = [(b"%03d" % n, b"value %d" % n) for n in range(100)]


def simulated() -> SimStores:
    """The stores of a simulated owner whom nothing befalls."""
    return SimStores(Disk(Random(7)), lambda: None)


@pytest.fixture(params=["memory", "rocks", "simulated"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """The stores of one owner."""
    made: dict[str, Callable[[], Stores]] = {
        "memory": MemoryStores,
        "rocks": lambda: RocksStores(tmp_path / "state"),
        "simulated": simulated,
    }
    return made[request.param]()


@pytest.fixture
def store(stores: Stores) -> StateStore:
    """An empty one."""
    return stores.open(0)


def everything(store: StateStore) -> list[tuple[bytes, bytes]]:
    return store.scan(b"", LAST, 1_000_000)


def test_what_was_not_written_is_not_there(store: StateStore) -> None:
    assert store.get(b"a") is None
    assert store.scan(b"", LAST, 10) == []


def test_an_empty_value_is_a_value(store: StateStore) -> None:
    store.write([(b"a", b"")])
    assert store.get(b"a") == b""
    assert store.scan(b"a", b"b", 1) == [(b"a", b"")]


def test_keys_are_ordered_as_bytes(store: StateStore) -> None:
    keys = [b"", b"\0", b"a", b"a\0", b"a\0b", b"aa", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
    store.write([(key, key) for key in reversed(keys)])
    assert [key for key, _ in everything(store)] == keys


def test_a_scan_takes_its_start_and_leaves_its_end(store: StateStore) -> None:
    store.write(ENTRIES)
    assert store.scan(b"010", b"013", 10) == ENTRIES[10:13]
    assert store.scan(b"010\0", b"013\0", 10) == ENTRIES[11:14]


@pytest.mark.parametrize(("start", "end"), [(b"010", b"010"), (b"013", b"010"), (b"x", b"y")])
def test_an_empty_range_holds_nothing(store: StateStore, start: bytes, end: bytes) -> None:
    store.write(ENTRIES)
    assert store.scan(start, end, 10) == []


def test_a_scan_is_bounded_and_can_be_gone_on_with(store: StateStore) -> None:
    store.write(ENTRIES)
    assert store.scan(b"", LAST, 0) == []
    found, start = [], b""
    while page := store.scan(start, LAST, 7):
        assert len(page) <= 7
        found += page
        start = page[-1][0] + b"\0"
    assert found == ENTRIES


def test_the_later_write_of_a_key_wins(store: StateStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"1"), (b"b", None), (b"a", b"2"), (b"c", None)])
    assert everything(store) == [(b"a", b"2")]
    store.write([(b"a", None), (b"a", b"3")])
    assert everything(store) == [(b"a", b"3")]


def test_none_removes(store: StateStore) -> None:
    store.write(ENTRIES)
    store.write([(key, None) for key, _ in ENTRIES[:99]] + [(b"never there", None)])
    assert everything(store) == ENTRIES[99:]
    assert store.get(b"000") is None


def test_an_empty_batch_changes_nothing(store: StateStore) -> None:
    store.write(ENTRIES)
    store.write([])
    assert everything(store) == ENTRIES


def test_a_scan_sees_what_is_put_before_what_it_met_first(store: StateStore) -> None:
    """Whatever a store remembers of ranges that it found empty, a write into them shows."""
    store.write([(b"t5", b""), (b"u", b"")])
    assert store.scan(b"t", b"u", 10) == [(b"t5", b"")]
    store.write([(b"t5", None)])
    assert store.scan(b"t", b"u", 10) == []
    store.write([(b"t7", b"")])
    assert store.scan(b"t", b"u", 10) == [(b"t7", b"")]
    store.write([(b"t3", b""), (b"t", b"")])
    assert store.scan(b"t", b"u", 1) == [(b"t", b"")]
    assert store.scan(b"t", b"u\0", 10) == [(b"t", b""), (b"t3", b""), (b"t7", b""), (b"u", b"")]


def test_partitions_share_nothing(stores: Stores) -> None:
    one, other = stores.open(1), stores.open(2)
    one.write([(b"a", b"1")])
    assert other.get(b"a") is None


# --- snapshots ----------------------------------------------------------------------------------


def test_a_snapshot_does_not_change(store: StateStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"1")])
    snapshot = store.snapshot()
    store.write([(b"a", b"2"), (b"b", None), (b"c", b"2")])
    later = store.snapshot()
    assert [snapshot.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"1", None]
    assert [later.get(key) for key in (b"a", b"b", b"c")] == [b"2", None, b"2"]


def test_another_thread_reads_a_snapshot_while_its_store_is_written(store: StateStore) -> None:
    store.write(ENTRIES)
    snapshot = store.snapshot()
    begun = Event()

    def read() -> None:
        for _ in range(200):
            for key, value in ENTRIES:
                assert snapshot.get(key) == value
            begun.set()

    with ThreadPoolExecutor(1) as other:
        reading = other.submit(read)
        assert begun.wait(30)
        number = 0
        while not reading.done():
            number += 1
            store.write([(key, b"%d" % number) for key, _ in ENTRIES])
        reading.result()


def test_a_released_snapshot_refuses(store: StateStore) -> None:
    """It must not read as empty: whoever publishes it would remove everything."""
    store.write(ENTRIES)
    snapshot = store.snapshot()
    snapshot.release()
    snapshot.release()
    with pytest.raises(StoreBroken):
        snapshot.get(b"000")
    assert everything(store) == ENTRIES


@pytest.mark.parametrize("end", [lambda store: store.close(), lambda store: store.clear()])
def test_a_snapshot_ends_with_what_it_shows(
    store: StateStore, end: Callable[[StateStore], None]
) -> None:
    store.write(ENTRIES)
    snapshot = store.snapshot()
    end(store)
    with pytest.raises(StoreBroken):
        snapshot.get(b"000")
    snapshot.release()


def test_a_store_closes_under_a_reading_thread(stores: Stores) -> None:
    store = stores.open(0)
    store.write(ENTRIES)
    snapshot = store.snapshot()
    begun = Event()

    def read() -> None:
        while True:
            for key, value in ENTRIES:
                assert snapshot.get(key) == value
            begun.set()

    with ThreadPoolExecutor(1) as other:
        reading = other.submit(read)
        assert begun.wait(30)
        store.close()
        with pytest.raises(StoreBroken):
            reading.result(30)
    snapshot.release()
    assert everything(stores.open(0)) == ENTRIES


def test_a_snapshot_that_nobody_released_does_not_keep_its_store_open(stores: Stores) -> None:
    store = stores.open(0)
    store.write(ENTRIES)
    snapshots = [store.snapshot() for _ in range(3)]
    store.close()
    assert everything(stores.open(0)) == ENTRIES
    for snapshot in snapshots:
        snapshot.release()


# --- opening, closing, removing -----------------------------------------------------------------


def test_what_was_written_is_there_after_a_reopen(stores: Stores) -> None:
    store = stores.open(3)
    store.write(ENTRIES)
    store.close()
    store.close()
    reopened = stores.open(3)
    assert everything(reopened) == ENTRIES
    reopened.write([(b"000", None)])
    reopened.close()
    assert everything(stores.open(3)) == ENTRIES[1:]


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get(b"000"),
        lambda store: store.scan(b"", LAST, 10),
        lambda store: store.write([(b"a", b"1")]),
        lambda store: store.snapshot(),
    ],
    ids=["get", "scan", "write", "snapshot"],
)
def test_a_closed_store_refuses(store: StateStore, use: Callable[[StateStore], object]) -> None:
    store.write(ENTRIES)
    store.close()
    with pytest.raises(StoreBroken):
        use(store)


def test_a_store_that_is_open_is_neither_opened_nor_dropped(stores: Stores) -> None:
    store = stores.open(0)
    store.write(ENTRIES)
    with pytest.raises(StoreBroken):
        stores.open(0)
    with pytest.raises(StoreBroken):
        stores.drop(0)
    store.write([(b"more", b"")])
    assert everything(store) == [*ENTRIES, (b"more", b"")]
    store.close()
    assert everything(stores.open(0)) == [*ENTRIES, (b"more", b"")]


def test_a_dropped_store_is_gone(stores: Stores) -> None:
    store = stores.open(0)
    store.write(ENTRIES)
    store.close()
    stores.drop(0)
    stores.drop(0)
    assert everything(stores.open(0)) == []


def test_a_cleared_store_is_empty_and_of_use(stores: Stores) -> None:
    store = stores.open(0)
    store.write(ENTRIES)
    assert store.scan(b"", LAST, 1) == ENTRIES[:1]
    store.clear()
    assert everything(store) == []
    store.write([(b"a", b"1")])
    assert everything(store) == [(b"a", b"1")]
    store.close()
    assert everything(stores.open(0)) == [(b"a", b"1")]


# --- any history --------------------------------------------------------------------------------

_letters = st.sampled_from([b"\0", b"a", b"b", b"\xff"])
_keys = st.lists(_letters, max_size=3).map(b"".join)
_values = st.none() | st.binary(max_size=3)
_batches = st.lists(st.tuples(_keys, _values), max_size=8)


class History(RuleBasedStateMachine):
    """One partition's store beside a plain dict; the stores are made by a subclass."""

    snapshots: Bundle[tuple[Snapshot, dict[bytes, bytes]]] = Bundle("snapshots")

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.stores = stores
        self.store = stores.open(0)
        self.truth: dict[bytes, bytes] = {}
        self.epoch = 0  # of close and clear: snapshots of an earlier one have ended
        self.taken: dict[int, int] = {}

    def teardown(self) -> None:
        self.store.close()

    @rule(batch=_batches)
    def write(self, batch: list[Write]) -> None:
        self.store.write(batch)
        for key, value in batch:
            self.truth.pop(key, None)
            if value is not None:
                self.truth[key] = value

    @rule(start=_keys, count=st.integers(1, 4))
    def remove_in_front(self, start: bytes, count: int) -> None:
        first = sorted(key for key in self.truth if key >= start)[:count]
        self.write([(key, None) for key in first])

    @rule(key=_keys)
    def get(self, key: bytes) -> None:
        assert self.store.get(key) == self.truth.get(key)

    @rule(start=_keys, end=_keys, limit=st.integers(0, 5))
    def scan(self, start: bytes, end: bytes, limit: int) -> None:
        expected = [entry for entry in sorted(self.truth.items()) if start <= entry[0] < end]
        assert self.store.scan(start, end, limit) == expected[:limit]

    @rule(target=snapshots)
    def take_snapshot(self) -> tuple[Snapshot, dict[bytes, bytes]]:
        snapshot = self.store.snapshot()
        self.taken[id(snapshot)] = self.epoch
        return snapshot, dict(self.truth)

    @rule(taken=snapshots, key=_keys)
    def read_snapshot(self, taken: tuple[Snapshot, dict[bytes, bytes]], key: bytes) -> None:
        snapshot, truth = taken
        if self.taken[id(snapshot)] == self.epoch:
            assert snapshot.get(key) == truth.get(key)
        else:
            with pytest.raises(StoreBroken):
                snapshot.get(key)

    @rule(taken=consumes(snapshots))
    def release_snapshot(self, taken: tuple[Snapshot, dict[bytes, bytes]]) -> None:
        taken[0].release()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.epoch += 1
        self.store = self.stores.open(0)

    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.epoch += 1
        self.truth = {}

    @rule()
    def drop(self) -> None:
        self.store.close()
        self.stores.drop(0)
        self.epoch += 1
        self.store = self.stores.open(0)
        self.truth = {}

    @invariant()
    def everything_is_there_in_order(self) -> None:
        assert everything(self.store) == sorted(self.truth.items())


class MemoryHistory(History):
    def __init__(self) -> None:
        super().__init__(MemoryStores())


class SimulatedHistory(History):
    def __init__(self) -> None:
        super().__init__(simulated())


class RocksHistory(History):
    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        super().__init__(RocksStores(Path(self.folder.name)))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemoryHistory = MemoryHistory.TestCase
TestMemoryHistory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSimulatedHistory = SimulatedHistory.TestCase
TestSimulatedHistory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRocksHistory = RocksHistory.TestCase
TestRocksHistory.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
