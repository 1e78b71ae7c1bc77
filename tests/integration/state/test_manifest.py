"""The note beside RocksDB's list of files: it accuses what lost something, and nothing else.

- A list that is shorter than it was, or begins otherwise, is damaged.
- The first log that is needed must be there, as long as the list says that it is needed.
- Whatever RocksDB does by itself, and whatever is unknown, is no damage.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from symphainy_runtime.state.manifest import Manifest, damage

LIST = "MANIFEST-000007"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database as RocksDB has it, with two logs that are needed and one that no longer is."""
    (tmp_path / "CURRENT").write_text(f"{LIST}\n")
    (tmp_path / LIST).write_bytes(b"some files")
    for number in (3, 5, 9):
        (tmp_path / f"{number:06}.log").write_bytes(b"")
    Manifest(tmp_path, lambda: 4).note()
    return tmp_path


def test_what_is_as_it_was_is_sound(folder: Path) -> None:
    assert damage(folder) == ""


@pytest.mark.parametrize("size", range(len(b"some files")))
def test_a_list_that_was_cut_is_damaged(folder: Path, size: int) -> None:
    os.truncate(folder / LIST, size)
    assert damage(folder) == f"{LIST} is damaged"


@pytest.mark.parametrize("content", [b"some file\0", b"Some files and more"])
def test_a_list_that_begins_otherwise_is_damaged(folder: Path, content: bytes) -> None:
    (folder / LIST).write_bytes(content)
    assert damage(folder) == f"{LIST} is damaged"


def test_the_first_log_that_is_needed_must_be_there(folder: Path) -> None:
    (folder / "000003.log").unlink()
    assert damage(folder) == ""
    (folder / "000005.log").unlink()
    assert damage(folder) == "log 5 is missing"


def test_a_log_may_go_once_the_list_says_more(folder: Path) -> None:
    with (folder / LIST).open("ab") as file:
        file.write(b", and log 5 is in a table now")
    (folder / "000005.log").unlink()
    assert damage(folder) == ""


def test_a_note_keeps_up(folder: Path) -> None:
    oldest = [4]
    manifest = Manifest(folder, lambda: oldest[0])
    manifest.note()
    with (folder / LIST).open("ab") as file:
        file.write(b", and log 5 is in a table now")
    manifest.note()
    oldest[0] = 6
    (folder / "000005.log").unlink()
    manifest.note()
    assert damage(folder) == ""
    os.truncate(folder / LIST, len(b"some files"))
    assert damage(folder) == f"{LIST} is damaged"


def test_no_log_is_asked_for_while_the_list_may_be_ahead(folder: Path) -> None:
    """A flush has written the list, and does not know it yet: the log may go at any moment."""
    oldest: list[int | None] = [4]
    manifest = Manifest(folder, lambda: oldest[0])
    manifest.note()
    oldest[0] = None
    manifest.note()  # nothing was appended yet: the log that was the first still is
    (folder / "000005.log").rename(folder / "elsewhere")
    assert damage(folder) == "log 5 is missing"
    (folder / "elsewhere").rename(folder / "000005.log")
    with (folder / LIST).open("ab") as file:
        file.write(b", and log 5 is in a table now")
    manifest.note()
    (folder / "000005.log").unlink()
    assert damage(folder) == ""
    oldest[0] = 6
    manifest.note()
    (folder / "000009.log").unlink()
    assert damage(folder) == "log 9 is missing"


def test_a_note_is_not_written_anew_where_nothing_changed(folder: Path) -> None:
    manifest = Manifest(folder, lambda: 4)
    manifest.note()
    (folder / "manifest-note").unlink()
    manifest.note()
    assert not (folder / "manifest-note").exists()


def test_a_note_that_cannot_be_written_leaves_the_older_one(folder: Path) -> None:
    manifest = Manifest(folder, lambda: 4)
    with (folder / LIST).open("ab") as file:
        file.write(b" more")
    (folder / "manifest-note.draft").mkdir()
    manifest.note()
    assert damage(folder) == ""
    os.truncate(folder / LIST, 3)
    assert damage(folder) == f"{LIST} is damaged"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "manifest-note").unlink(),
        lambda folder: (folder / "CURRENT").unlink(),
        lambda folder: (folder / LIST).unlink(),
        lambda folder: (folder / "CURRENT").write_text("MANIFEST-000008"),
    ],
    ids=["no note", "no CURRENT", "no list", "a new list"],
)
def test_what_is_unknown_is_no_damage(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder)
    assert damage(folder) == ""


@pytest.mark.parametrize("note", [b"", b"garbage", f"{LIST} 10 1\0 5".encode(), b"\xff\xfe \x80"])
def test_a_damaged_note_is_damage(folder: Path, note: bytes) -> None:
    (folder / "manifest-note").write_bytes(note)
    assert damage(folder) == "the note about its manifest is damaged"
