"""Whether the files of a RocksDB database are all there, which it does not tell by itself.

RocksDB appends to its MANIFEST which files hold the data, and takes a damaged end for the end. A
list that lost its end names too few files; the logs behind it are replayed all the same, as they
are behind a log that is missing. Either way the store comes up with a hole in the middle of its
history. So a note beside the list says how long it was, what its checksum was, and which log was
the first to be replayed.

The note is made after every batch. What RocksDB did by itself after the last one is not in it; and
a missing log, which only a hand can have removed, is noticed if it was the first, and no table was
being written when the list last grew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

_NOTE = "manifest-note"


class _Note(NamedTuple):
    name: str
    size: int
    checksum: int
    first_log: int  # by its number; 0 if that was not known


class Manifest:
    """The list of an open database, which is only ever appended to."""

    def __init__(self, folder: Path, oldest_log: Callable[[], int | None]) -> None:
        """`oldest_log` gives the number from which on logs are needed.

        None says that RocksDB may have changed it in the list, and not yet in memory.
        """
        self._folder = folder
        self._path = folder / _current(folder)
        self._oldest_log = oldest_log
        self._noted: tuple[int, int | None] = (0, None)
        self._size = self._checksum = 0

    def note(self) -> None:
        """Note what has changed; three microseconds if nothing has.

        Where that fails, the older note stays: it is true of the list's beginning.
        """
        with suppress(OSError):
            # In this order: what RocksDB appends in between makes the list longer than noted, and
            # then nobody asks for the log.
            size = os.stat(self._path).st_size
            oldest = self._oldest_log()
            if size == self._noted[0] and oldest in (None, self._noted[1]):
                return
            with self._path.open("rb") as file:
                file.seek(self._size)
                appended = file.read(size - self._size)
            self._size += len(appended)
            self._checksum = crc32(appended, self._checksum)
            needed = [n for n in _logs(self._folder) if oldest is not None and n >= oldest]
            note = _Note(self._path.name, self._size, self._checksum, min(needed, default=0))
            draft = self._folder / f"{_NOTE}.draft"
            draft.write_text(" ".join(map(str, note)))
            draft.replace(self._folder / _NOTE)
            self._noted = size, oldest


def damage(folder: Path) -> str:
    """What is wrong with the files of a database that is not open; empty if nothing is known."""
    try:
        note = _read(folder)
        if note.name != _current(folder):
            return ""  # RocksDB has begun a new list since
        content = (folder / note.name).read_bytes()
    except FileNotFoundError:
        return ""  # there is no database yet, or RocksDB will tell what is missing
    except ValueError:
        return "the note about its manifest is damaged"
    if len(content) < note.size or crc32(content[: note.size]) != note.checksum:
        return f"{note.name} is damaged"
    if len(content) == note.size and note.first_log and note.first_log not in _logs(folder):
        return f"log {note.first_log} is missing"
    return ""


def _read(folder: Path) -> _Note:
    name, *numbers = (folder / _NOTE).read_text().split()
    size, checksum, first_log = map(int, numbers)
    return _Note(name, size, checksum, first_log)


def _current(folder: Path) -> str:
    return (folder / "CURRENT").read_text().strip()


def _logs(folder: Path) -> set[int]:
    return {int(path.stem) for path in folder.glob("*.log") if path.stem.isdecimal()}
