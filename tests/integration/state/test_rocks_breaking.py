"""State stores on RocksDB, when files are damaged, processes die and disks refuse.

- A store that opens holds a whole prefix of the batches written to it, or nothing.
- Reading damaged files gives what was written, or StoreBroken; a scan never just ends there.
- What cannot be opened gives way to an empty store; what another process has open does not.
- The death of a process loses no batch that `write` had returned from.
- A disk that refuses a write breaks the store, takes nothing from it, and never ends the process.
- A disk that is behind slows writes down; one that never takes them breaks the store.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import IO

import pytest
import rocksdict
from tests.integration.state.batches import SMALL_BUDGET_BYTES, batch, whole_prefix

from symphainy_runtime.state.rocks import RocksStores
from symphainy_runtime.state.store import StoreBroken

FLUSHED, LOGGED = 300, 100  # batches in table files, and batches in the log alone
PATIENCE_S = 60
ROOT = Path(__file__).parents[3]


@contextmanager
def process(work: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that does one of the works of `batches`; killed at the end."""
    command = [sys.executable, "-m", "tests.integration.state.batches", work, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as running:
        try:
            yield running
        finally:
            running.kill()
            running.wait(PATIENCE_S)


def output_of(running: subprocess.Popen[str]) -> IO[str]:
    assert running.stdout is not None
    return running.stdout


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process leaves that died after `FLUSHED` + `LOGGED` batches."""
    folder = tmp_path_factory.mktemp("left")
    for batches in FLUSHED, FLUSHED + LOGGED:  # opening writes what was logged into a table
        with process("hold_open", folder, batches) as holder:
            assert output_of(holder).readline() == "open\n"
    return folder


@pytest.fixture
def folder(left: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(left, tmp_path / "state"))


def the(folder: Path, pattern: str) -> Path:
    """The largest file of this name: what a damage is most likely to meet."""
    return max((folder / "0").glob(pattern), key=lambda path: path.stat().st_size)


# --- damaged files ------------------------------------------------------------------------------


def flip(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def cut(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def zero(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    at = random.randrange(len(content))
    content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    path.write_bytes(content)


def scramble(path: Path, random: Random) -> None:
    path.write_bytes(random.randbytes(path.stat().st_size))


def remove(path: Path, random: Random) -> None:
    path.unlink()


def test_what_a_dead_process_leaves_is_whole(folder: Path) -> None:
    assert whole_prefix(RocksStores(folder).open(0)) == FLUSHED + LOGGED


@pytest.mark.parametrize("damage", [flip, cut, zero, scramble, remove])
@pytest.mark.parametrize("name", ["*.sst", "*.log", "MANIFEST-*", "CURRENT", "OPTIONS-*"])
def test_damage_yields_a_prefix_or_nothing_or_breaks(
    left: Path, tmp_path: Path, name: str, damage: Callable[[Path, Random], None]
) -> None:
    for seed in range(8):
        folder = Path(shutil.copytree(left, tmp_path / str(seed)))
        damage(the(folder, name), Random(seed))
        stores = RocksStores(folder)
        store = stores.open(0)
        try:
            size = whole_prefix(store)
        except StoreBroken:
            # As an owner does it: while the error, and with it every frame below, is still alive.
            store.close()
            stores.drop(0)
            store = stores.open(0)
            size = whole_prefix(store)
            assert size == 0
        store.write(batch(size))
        store.close()
        assert whole_prefix(stores.open(0)) == size + 1


def test_a_scan_breaks_at_a_damaged_block_and_does_not_end_there(folder: Path) -> None:
    table = the(folder, "*.sst")
    content = bytearray(table.read_bytes())
    middle = len(content) // 2  # data: what is written last in a table are its index and filter
    content[middle] ^= 1
    table.write_bytes(content)
    store = RocksStores(folder).open(0)
    with pytest.raises(StoreBroken, match="Corruption"):
        store.scan(b"h", b"i", 1_000_000)
    assert len(store.scan(b"h", b"i", 10)) == 10  # what is not damaged can still be read
    broken = 0
    for number in range(FLUSHED):
        try:
            assert store.get(b"h%06d" % number) == dict(batch(number))[b"h%06d" % number]
        except StoreBroken:
            broken += 1
    assert 0 < broken < FLUSHED / 10


def test_a_damaged_store_heals_by_clearing(folder: Path) -> None:
    scramble(the(folder, "*.sst"), Random(0))
    stores = RocksStores(folder)
    store = stores.open(0)
    store.clear()
    store.write(batch(0))
    assert whole_prefix(store) == 1


@pytest.mark.parametrize("cut_off", range(0, 60_000, 4_999))
def test_a_torn_log_leaves_whole_batches(folder: Path, cut_off: int) -> None:
    """As after the death of the machine: the kernel had not written all of it."""
    path = the(folder, "*.log")
    os.truncate(path, path.stat().st_size - cut_off)
    size = whole_prefix(RocksStores(folder).open(0))
    assert FLUSHED <= size <= FLUSHED + LOGGED
    assert (size == FLUSHED + LOGGED) == (cut_off == 0)


def garbage_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a directory")


def garbage_directory(path: Path) -> None:
    (path / "below").mkdir(parents=True)
    for name in ("CURRENT", "MANIFEST-000001", "000002.sst", "below/anything"):
        (path / name).write_bytes(b"garbage")


def other_families(path: Path) -> None:
    options = rocksdict.Options(raw_mode=True)
    options.create_missing_column_families(True)
    path.parent.mkdir()
    rocksdict.Rdict(str(path), options, {"default": options, "other": options}).close()


def other_order(path: Path) -> None:
    path.parent.mkdir()
    rocksdict.Rdict(str(path)).close()  # without raw_mode: keys in an order of rocksdict's own


@pytest.mark.parametrize("make", [garbage_file, garbage_directory, other_families, other_order])
def test_what_is_no_store_of_ours_gives_way(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "state" / "0")
    stores = RocksStores(tmp_path / "state")
    store = stores.open(0)
    assert whole_prefix(store) == 0
    store.write(batch(0))
    store.close()
    assert whole_prefix(stores.open(0)) == 1


# --- other processes, and their death -----------------------------------------------------------


def test_killed_writers_leave_whole_batches_in_order_and_lose_none(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    told = -1
    for patience in (1, 7, 300, 1_500):
        with process("write_for_ever", folder) as writer:
            output = output_of(writer)
            for _ in range(patience):
                told = int(output.readline())
            writer.kill()
            writer.wait(PATIENCE_S)
            told = max([told, *map(int, output.read().split())])
        store = RocksStores(folder).open(0)
        assert told + 1 <= whole_prefix(store) <= told + 2  # one may be written but not told
        store.close()


def test_a_store_in_use_by_another_process_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    stores = RocksStores(folder)
    with process("hold_open", folder, 1) as holder:
        assert output_of(holder).readline() == "open\n"
        with pytest.raises(StoreBroken, match="Stop the process that has it open"):
            stores.open(0)
        with pytest.raises(StoreBroken, match="Stop the process that has it open"):
            stores.drop(0)
        stores.open(1).close()
        assert holder.poll() is None
    assert whole_prefix(stores.open(0)) == 1


def test_a_disk_that_refuses_breaks_the_store_and_takes_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the same call fails."""
    folder = tmp_path / "state"
    with process("write_until_refused", folder, 300_000) as writer:
        written, readable, cure = output_of(writer).readline().strip().split("|")
        assert int(written) > 100
        assert readable == written
        assert "disk" in cure
        assert output_of(writer).readline() == "closed\n"
        assert writer.wait(PATIENCE_S) == 0
    assert whole_prefix(RocksStores(folder).open(0)) == int(written)


def stalled(folder: Path, then: str) -> list[str]:
    """What a writer tells that has met a stall: the pauses it made, what it wrote, what is there.

    Another process, for a write that waits inside RocksDB stops every thread of its own.
    """
    with process("write_until_stalled", folder, then) as writer:
        output, _ = writer.communicate(timeout=PATIENCE_S)
    return output.strip().split("|")


def test_a_write_waits_while_the_disk_is_behind(tmp_path: Path) -> None:
    pauses, written, readable, error = stalled(tmp_path, "compact")
    assert int(pauses) > 0
    assert (readable, error) == (written, "")
    assert whole_prefix(RocksStores(tmp_path).open(0)) == int(written)


def test_a_write_that_the_disk_never_takes_breaks_the_store(tmp_path: Path) -> None:
    pauses, written, readable, error = stalled(tmp_path, "nothing")
    assert int(pauses) > 10
    assert readable == written
    assert "does not keep up" in error
    assert whole_prefix(RocksStores(tmp_path).open(0)) == int(written)


def test_the_note_about_the_files_keeps_up_with_an_open_store(tmp_path: Path) -> None:
    store = RocksStores(tmp_path, SMALL_BUDGET_BYTES).open(0)
    note = tmp_path / "0" / "manifest-note"
    first, number = note.read_text(), 0
    while note.read_text() == first:  # until a table was written behind our back
        store.write(batch(number))
        number += 1
        assert number < 50_000


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreBroken, match="Look at the disk"):
        RocksStores(tmp_path / "file" / "state").open(0)
