"""Where evidence is kept: apart from the cluster, each object written once and never again.

A folder by default; any object store that obstore reaches (s3://, gs://, az://) by its URL. Both
refuse to write over what is there. What makes either of them proof against its own operator is its
business: another host's disk, S3 Object Lock, a volume that is written once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader, RawIOBase
from pathlib import Path
from threading import get_ident
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore as Objects
from obstore.store import from_url

from symphainy_runtime.audit.checkpoints import note_hash
from symphainy_runtime.audit.evidence import Kept
from symphainy_schemas.errors import OperatorError

_CHECKPOINT = ".checkpoint"
_LEAVES = ".leaves"


class EvidenceUnavailable(OperatorError):
    """The store of evidence does not give or take.

    Operator action: see to the folder or the object store that SYMPHAINY_AUDIT_URL names.
    """

    code = "evidence_unavailable"


class AlreadyKept(Exception):
    """Another object stands under that name: somebody else was first."""


class EvidenceStore(Protocol):
    """Objects under names of parts that `/` joins; none is ever changed."""

    def put(self, name: str, content: bytes) -> None:
        """Keep an object; returns when it is kept for good.

        Raises:
            AlreadyKept: there is one of that name.
            EvidenceUnavailable: it could not be kept, or nobody knows.
        """
        ...

    def get(self, name: str) -> bytes | None:
        """An object's content; None if there is none.

        Raises:
            EvidenceUnavailable: it could not be read.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """An object, to be read anywhere in it.

        Raises:
            EvidenceUnavailable: there is none, or it could not be opened.
        """
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """The names that begin with `prefix/`, in no order.

        Raises:
            EvidenceUnavailable: they could not be listed.
        """
        ...

    def groups(self, prefix: str) -> set[str]:
        """What stands between `prefix/` and the next `/` of the names that have one.

        Raises:
            EvidenceUnavailable: they could not be listed.
        """
        ...


class FolderStore:
    """Objects as files of a folder, each on the disk, with its name, before `put` returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """As the port says. Written beside, then linked to its name: that fails if it is taken."""
        path = self._folder / name
        scratch = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
        try:
            _make(path.parent)
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(scratch, path)
            except FileExistsError as error:
                raise AlreadyKept(name) from error
            finally:
                scratch.unlink()
            _sync(path.parent)
        except OSError as error:
            raise _unavailable(f"{path} could not be kept: {error.strerror}") from error

    def get(self, name: str) -> bytes | None:
        """As the port says."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(f"{self._folder / name} cannot be read: {error.strerror}") from error

    def open(self, name: str) -> BinaryIO:
        """As the port says."""
        try:
            return (self._folder / name).open("rb")
        except OSError as error:
            raise _unavailable(f"{self._folder / name} cannot be read: {error.strerror}") from error

    def names(self, prefix: str) -> Iterator[str]:
        """As the port says."""
        for folder, _, files in os.walk(self._folder / prefix, onerror=_refuse):
            where = Path(folder).relative_to(self._folder)
            yield from (f"{where.as_posix()}/{file}" for file in files)

    def groups(self, prefix: str) -> set[str]:
        """As the port says."""
        try:
            return {one.name for one in (self._folder / prefix).iterdir() if one.is_dir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise _unavailable(f"{error.filename} cannot be read: {error.strerror}") from error


class BucketStore:
    """Objects of an object store."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`: s3://…, gs://… or az://…; credentials as obstore finds them."""
        self._store: Objects = from_url(url)

    def put(self, name: str, content: bytes) -> None:
        """As the port says: a conditional write."""
        try:
            obstore.put(self._store, name, content, mode="create")
        except AlreadyExistsError as error:
            raise AlreadyKept(name) from error
        except BaseError as error:
            raise _unavailable(f"The object store did not keep {name}: {error}") from error

    def get(self, name: str) -> bytes | None:
        """As the port says."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise _unavailable(f"The object store did not give {name}: {error}") from error

    def open(self, name: str) -> BinaryIO:
        """As the port says."""
        try:
            return BufferedReader(_Ranges(obstore.open_reader(self._store, name)))
        except (BaseError, FileNotFoundError) as error:
            raise _unavailable(f"The object store did not give {name}: {error}") from error

    def names(self, prefix: str) -> Iterator[str]:
        """As the port says."""
        try:
            for page in obstore.list(self._store, prefix):
                yield from (found["path"] for found in page)
        except BaseError as error:
            raise _unavailable(f"The object store did not list {prefix}: {error}") from error

    def groups(self, prefix: str) -> set[str]:
        """As the port says."""
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
            return {one.rstrip("/").rpartition("/")[2] for one in found}
        except BaseError as error:
            raise _unavailable(f"The object store did not list {prefix}: {error}") from error


class _Ranges(RawIOBase):
    """An object as a file of Python's: reads fetch ranges of it."""

    def __init__(self, reader: obstore.ReadableFile) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._reader.read(len(buffer))
        buffer[: len(found)] = memoryview(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()


class Evidence:
    """The checkpoints of journals, in a store."""

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store

    def keep(self, identity: str, partition: int, number: int, note: bytes, leaves: bytes) -> None:
        """Keep a checkpoint: the list of hashes first, so that no checkpoint lacks its own.

        Raises:
            AlreadyKept: there is another one of that number.
            EvidenceUnavailable: it could not be kept.
        """
        name = _name(identity, partition, number)
        with suppress(AlreadyKept):  # the same content, by its name: a try that ended too early
            self._store.put(f"{name}.{note_hash(leaves).hex()[:16]}{_LEAVES}", leaves)
        self._store.put(name + _CHECKPOINT, note)

    def topic_ids(self, identity: str) -> set[str]:
        """Of which topics of the same cluster and name there are checkpoints."""
        return self._store.groups(identity.rpartition("/")[0])

    def kept(self, identity: str, partition: int) -> Iterator[Kept]:
        """A journal's checkpoints, in order. Of lists of hashes that bear one number each is read:
        the checkpoint says which is its own.

        Raises:
            EvidenceUnavailable: the store did not answer.
        """
        numbered = self._numbered(identity, partition)
        for number in sorted(numbered):
            names = numbered[number]
            note = self._store.get(_name(identity, partition, number) + _CHECKPOINT)
            if note is not None:
                yield Kept(number, note, self._leaves(names, note))

    def last(self, identity: str, partition: int) -> Kept | None:
        """A journal's newest checkpoint, without its list of hashes."""
        numbered = self._numbered(identity, partition)
        for number in sorted(numbered, reverse=True):
            note = self._store.get(_name(identity, partition, number) + _CHECKPOINT)
            if note is not None:
                return Kept(number, note, None)
        return None

    def _numbered(self, identity: str, partition: int) -> dict[int, list[str]]:
        """The names of what is kept of a partition, by number."""
        prefix = f"{identity}/{partition}"
        found: dict[int, list[str]] = {}
        for name in self._store.names(prefix):
            number = name.removeprefix(prefix + "/").partition(".")[0]
            if number.isdecimal():  # nothing that a crash left half written
                found.setdefault(int(number), []).append(name)
        return found

    def _leaves(self, names: list[str], note: bytes) -> bytes | None:
        lists = [name for name in names if name.endswith(_LEAVES)]
        contents = [found for name in lists if (found := self._store.get(name)) is not None]
        named = [one for one in contents if note_hash(one).hex().encode() in note]
        return next(iter(named + contents), None)


def open_store(url: str) -> EvidenceStore:
    """The store at `url`: file:///… or what obstore knows."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStore(Path(url2pathname(parts.path)))
    try:
        return BucketStore(url)
    except (BaseError, ValueError) as error:
        raise _unavailable(f"{url} is not the URL of a store: {error}") from error


def _name(identity: str, partition: int, number: int) -> str:
    return f"{identity}/{partition}/{number:010d}"


def _make(folder: Path) -> None:
    """Make a folder, each level on the disk in the one above."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise _unavailable(f"{error.filename} cannot be read: {error.strerror}")


def _unavailable(what: str) -> EvidenceUnavailable:
    return EvidenceUnavailable(
        what,
        field="audit_url",
        cure="See to the folder or object store that SYMPHAINY_AUDIT_URL names.",
    )
