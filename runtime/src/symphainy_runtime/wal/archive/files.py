"""Which files the archive of a journal has, and how one comes to count.

A file is written whole under a name that says its partition, its first and last offset, and what
it hashes to; then its commit, under the first offset alone, which nobody can write a second time.
Only what is committed counts, so of two archivers one wins each range and the other goes on from
there; what a crash left without a commit is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from symphainy_runtime.audit.store import AlreadyKept, EvidenceUnavailable, open_store
from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.journal.validity import Validity
from symphainy_schemas.errors import CallerError, OperatorError

_FILE = re.compile(r"(\d{20})-(\d{20})\.[0-9a-f]{16}\.parquet")
_COMMIT = re.compile(r"(\d{20})\.commit")
T = TypeVar("T")


class ArchiveUnavailable(OperatorError):
    """The archive does not give or take.

    Operator action: see to the folder or the object store that SYMPHAINY_ARCHIVE_URL names.
    """

    code = "archive_unavailable"


class RangeTaken(Exception):
    """Another archiver has committed a file that begins at the same offset."""


class Commit(Struct, frozen=True, kw_only=True):
    """What makes a file count: its name and offsets, and the standing of a reader behind it."""

    file: str
    first: int
    last: int
    records: int
    rows: int
    bytes: int
    term: int
    seq: int
    offset: int
    hash: str
    written_at: int

    @property
    def standing(self) -> Validity:
        """Where a reader stands behind the last record."""
        return Validity(self.term, self.seq, self.offset, bytes.fromhex(self.hash))


class ArchiveFile(Struct, frozen=True):
    """A file that counts: all records of [first, last] of its partition."""

    name: str
    first: int
    last: int


class Archive:
    """The archive of journals at a URL."""

    def __init__(self, url: str) -> None:
        """Open it: file:///…, s3://…, gs://… or az://….

        Raises:
            ArchiveUnavailable: it is no URL of a store.
        """
        self.url = url
        self._store = _translated(lambda: open_store(url))

    def journals(self) -> list[str]:
        """Of which journals there are files: `<cluster id>/<topic>/<topic id>`.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """

        def found() -> list[str]:
            groups = self._store.groups
            return sorted(
                f"{cluster}/{topic}/{topic_id}"
                for cluster in groups("")
                for topic in groups(cluster)
                for topic_id in groups(f"{cluster}/{topic}")
            )

        return _translated(found)

    def only_journal(self, topic: str) -> str:
        """The journal of that topic's name, where no Kafka tells which one is meant.

        Raises:
            CallerError: `archive_empty` or `archive_ambiguous`.
            ArchiveUnavailable: the store did not answer.
        """
        found = [one for one in self.journals() if one.split("/")[1] == topic]
        if len(found) == 1:
            return found[0]
        if not found:
            raise CallerError(
                f"The archive at {self.url} has nothing of {topic}.",
                code="archive_empty",
                cure="Export first: `symphainy wal export`; or set SYMPHAINY_ARCHIVE_URL.",
            )
        raise CallerError(
            f"The archive at {self.url} has several journals of that name: {', '.join(found)}.",
            code="archive_ambiguous",
            field="journal",
            cure="Name one with --journal.",
        )

    def partitions(self, journal: str) -> list[int]:
        """Of which partitions there are files.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """
        named = _translated(lambda: self._store.groups(journal))
        numbers = (one.removeprefix("partition=") for one in named)
        return sorted(int(one) for one in numbers if one.isdecimal())

    def files(self, journal: str, partition: int) -> list[ArchiveFile]:
        """What counts, in order.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """
        written: dict[int, list[ArchiveFile]] = {}
        committed = []
        for name in self._names(journal, partition):
            base = name.rpartition("/")[2]
            if (match := _FILE.fullmatch(base)) is not None:
                one = ArchiveFile(name, int(match[1]), int(match[2]))
                written.setdefault(one.first, []).append(one)
            elif (match := _COMMIT.fullmatch(base)) is not None:
                committed.append(int(match[1]))
        return [self._chosen(journal, partition, first, written) for first in sorted(committed)]

    def last(self, journal: str, partition: int) -> Commit | None:
        """The newest commit; None if there is none.

        Raises:
            ArchiveUnavailable: the store did not answer, or a commit cannot be read.
        """
        names = [name.rpartition("/")[2] for name in self._names(journal, partition)]
        firsts = [int(match[1]) for name in names if (match := _COMMIT.fullmatch(name))]
        return self._commit(journal, partition, max(firsts)) if firsts else None

    def keep(self, journal: str, partition: int, content: bytes, commit: Commit) -> None:
        """Write a file, then commit it; `commit.file` is set here.

        Raises:
            RangeTaken: another archiver was first.
            ArchiveUnavailable: it could not be kept, or nobody knows.
        """
        folder = _folder(journal, partition)
        digest = sha256(content).hexdigest()[:16]
        base = f"{commit.first:020d}-{commit.last:020d}.{digest}.parquet"
        told = msgspec.json.encode(msgspec.structs.replace(commit, file=base)) + b"\n"

        def keeping() -> None:
            with suppress(AlreadyKept):  # the same content, by its name: a try that ended early
                self._store.put(f"{folder}/{base}", content)
            self._store.put(f"{folder}/{commit.first:020d}.commit", told)

        try:
            _translated(keeping)
        except AlreadyKept as error:
            raise RangeTaken(commit.first) from error

    def open(self, file: ArchiveFile) -> BinaryIO:
        """A file, to be read anywhere in it.

        Raises:
            ArchiveUnavailable: it could not be opened.
        """
        return _translated(lambda: self._store.open(file.name))

    def _names(self, journal: str, partition: int) -> list[str]:
        return _translated(lambda: list(self._store.names(_folder(journal, partition))))

    def _chosen(
        self, journal: str, partition: int, first: int, written: dict[int, list[ArchiveFile]]
    ) -> ArchiveFile:
        candidates = written.get(first, [])
        if len(candidates) == 1:
            return candidates[0]
        commit = self._commit(journal, partition, first)
        for one in candidates:
            if one.name.endswith(f"/{commit.file}"):
                return one
        raise ArchiveUnavailable(
            f"{commit.file} of partition {partition} is committed, and is not there.",
            cure="Restore it; until then ask Kafka for what it still keeps.",
        )

    def _commit(self, journal: str, partition: int, first: int) -> Commit:
        name = f"{_folder(journal, partition)}/{first:020d}.commit"
        content = _translated(lambda: self._store.get(name))
        try:
            return msgspec.json.decode(content or b"", type=Commit)
        except msgspec.DecodeError as error:
            raise ArchiveUnavailable(f"{name} is no commit: {error}", cure="Restore it.") from error


def spans(files: list[ArchiveFile]) -> Iterator[Extent]:
    """The offsets that files have without a gap between them."""
    start = end = -1
    for one in files:
        if one.first != end:
            if end > start:
                yield Extent(start, end)
            start = one.first
        end = one.last + 1
    if end > start:
        yield Extent(start, end)


def _folder(journal: str, partition: int) -> str:
    return f"{journal}/partition={partition}"


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except EvidenceUnavailable as error:
        raise ArchiveUnavailable(
            error.message,
            field="archive_url",
            cure="See to the folder or object store that SYMPHAINY_ARCHIVE_URL names.",
        ) from error
