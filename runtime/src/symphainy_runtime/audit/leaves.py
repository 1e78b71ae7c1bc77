"""What is kept beside a checkpoint: the hash of each record that it adds, so that a record that is
not what it was can be named, which a root alone cannot do.

A line of JSON, `{"start":0,"end":3,"runs":[[0,0,0,3]]}`, then 32 bytes for each offset from start
to end: SHA-256 of its stored bytes, valid or not. A run is offset, term, seq and count of valid
records that follow each other; what is in no run does not count and is no leaf of the tree.
"""

from __future__ import annotations

import struct
from hashlib import sha256

import msgspec
from msgspec import Struct

from symphainy_runtime.audit.tree import HASH_BYTES

_hash = struct.Struct(f"{HASH_BYTES}s")
_leaf = struct.Struct(f">IQQQ{HASH_BYTES}s").pack
_hashed = struct.Struct(f">xIQQQ{HASH_BYTES}s").pack  # with the 00 of RFC 6962 before it


class LeavesUnreadable(ValueError):
    """The bytes are no list of leaves."""


class Run(Struct, frozen=True, array_like=True):
    """Valid records of a term that stand one behind the other."""

    offset: int
    term: int
    seq: int
    count: int


class Leaves(Struct, frozen=True):
    """The hashes of the records in [start, end), and which of them count."""

    start: int
    end: int
    runs: tuple[Run, ...]
    hashes: bytes

    @property
    def size(self) -> int:
        """How many of them count."""
        return sum(run.count for run in self.runs)

    def hash_at(self, offset: int) -> bytes:
        """SHA-256 of the stored bytes at an offset in [start, end)."""
        at = (offset - self.start) * HASH_BYTES
        return self.hashes[at : at + HASH_BYTES]

    def counted(self, offset: int) -> bool:
        """Whether the record at an offset is valid, and so a leaf."""
        return any(run.offset <= offset < run.offset + run.count for run in self.runs)

    def leaf_hashes(self, partition: int) -> list[bytes]:
        """The tree's leaves that these add, in order."""
        found: list[bytes] = []
        for run in self.runs:
            at = (run.offset - self.start) * HASH_BYTES
            hashes = self.hashes[at : at + run.count * HASH_BYTES]
            found += [
                sha256(_hashed(partition, run.offset + n, run.term, run.seq + n, one)).digest()
                for n, (one,) in enumerate(_hash.iter_unpack(hashes))
            ]
        return found

    def index_of(self, offset: int) -> tuple[int, Run]:
        """Among the leaves that these add, which one stands at `offset`; and its run.

        Raises:
            LookupError: what stands there does not count.
        """
        before = 0
        for run in self.runs:
            if run.offset <= offset < run.offset + run.count:
                return before + offset - run.offset, run
            before += run.count
        raise LookupError(f"the record at offset {offset} does not count")


class _Head(Struct, frozen=True, forbid_unknown_fields=True):
    start: int
    end: int
    runs: tuple[Run, ...]


def leaf_data(partition: int, offset: int, term: int, seq: int, record_hash: bytes) -> bytes:
    """A leaf's data, 60 bytes: partition (4), offset, term, seq (8 each, big-endian), and SHA-256
    of the record's stored bytes. It binds a record to its place."""
    return _leaf(partition, offset, term, seq, record_hash)


def encode_leaves(leaves: Leaves) -> bytes:
    """As they are kept."""
    head = _Head(leaves.start, leaves.end, leaves.runs)
    return msgspec.json.encode(head) + b"\n" + leaves.hashes


def decode_leaves(content: bytes) -> Leaves:
    """From what is kept.

    Raises:
        LeavesUnreadable: it is something else.
    """
    head, found, hashes = content.partition(b"\n")
    try:
        told = msgspec.json.decode(head, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LeavesUnreadable(str(error)) from error
    at = told.start
    for run in told.runs:
        if run.offset < at or run.count < 1:
            raise LeavesUnreadable("its runs are out of order")
        at = run.offset + run.count
    if not found or at > told.end or len(hashes) != (told.end - told.start) * HASH_BYTES:
        raise LeavesUnreadable("it has not a hash for each offset")
    return Leaves(told.start, told.end, told.runs, hashes)
