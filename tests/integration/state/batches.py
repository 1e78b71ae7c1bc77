"""A history of batches that tells by itself whether it is whole; and processes that write it.

As a program: `python -m tests.integration.state.batches <work> <folder> …`.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from time import sleep
from unittest.mock import patch

from symphainy_runtime.state import rocks
from symphainy_runtime.state.rocks import RocksStores
from symphainy_runtime.state.store import StateStore, StoreBroken, Write

SMALL_BUDGET_BYTES = 1 << 20  # a memtable is written out after some 600 batches


def batch(number: int) -> list[Write]:
    """Batch `number`: one key of its own, keys that every batch rewrites, one that it removes."""
    filler = Random(number).randbytes(700)
    rewritten: list[Write] = [(b"k%d" % n, b"%d" % number) for n in range(3)]
    passing: list[Write] = [(b"p%06d" % number, b""), (b"p%06d" % (number - 1), None)]
    return [(b"h%06d" % number, filler), *rewritten, *passing]


def whole_prefix(store: StateStore) -> int:
    """How many batches it holds: the first ones, each of them whole, and nothing else."""
    found = store.scan(b"", b"\xff", 1_000_000)
    size = sum(key.startswith(b"h") for key, _ in found)
    expected: dict[bytes, bytes] = {}
    for number in range(size):
        for key, value in batch(number):
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
    assert found == sorted(expected.items())
    assert [(key, store.get(key)) for key in expected] == list(expected.items())
    return size


def write_for_ever(folder: str) -> None:
    """Write batches, and tell of each when it is written."""
    store = RocksStores(Path(folder), SMALL_BUDGET_BYTES).open(0)
    for number in count(whole_prefix(store)):
        store.write(batch(number))
        print(number, flush=True)


def hold_open(folder: str, to: str) -> None:
    """Write the batches up to `to`, say so, and keep the store open until the input ends."""
    store = RocksStores(Path(folder)).open(0)
    for number in range(whole_prefix(store), int(to)):
        store.write(batch(number))
    print("open", flush=True)
    sys.stdin.read()


def write_until_refused(folder: str, limit_bytes: str) -> None:
    """Write batches until no file may grow any more; then tell what was written, what is read."""
    store = RocksStores(Path(folder)).open(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit_bytes), resource.RLIM_INFINITY))
    written = 0
    try:
        for number in count():
            store.write(batch(number))
            written += 1
    except StoreBroken as error:
        print(written, whole_prefix(store), error.cure, sep="|", flush=True)
    store.close()
    print("closed", flush=True)


def write_until_stalled(folder: str, then: str) -> None:
    """Write batches until a write has waited for a compaction, which begins with the first wait or,
    if `then` says nothing, never; then tell of it."""
    store = RocksStores(Path(folder), SMALL_BUDGET_BYTES).open(0)
    limits = ("file_num_compaction_trigger", "slowdown_writes_trigger", "stop_writes_trigger")
    store._db.set_options({f"level0_{limit}": "2" for limit in limits})
    store._db.set_options({"level0_file_num_compaction_trigger": "100"})
    pauses, written, told = 0, 0, ""

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if then == "compact":
            store._db.set_options({"level0_file_num_compaction_trigger": "2"})
            sleep(seconds)

    with patch.object(rocks, "sleep", pause):
        try:
            while not pauses:
                store.write(batch(written))
                written += 1
        except StoreBroken as error:
            told = error.message
    print(pauses, written, whole_prefix(store), told, sep="|")


WORKS: tuple[Callable[..., None], ...] = (
    write_for_ever,
    hold_open,
    write_until_refused,
    write_until_stalled,
)

if __name__ == "__main__":
    {work.__name__: work for work in WORKS}[sys.argv[1]](*sys.argv[2:])
