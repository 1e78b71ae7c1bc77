"""Every short journal that owners who keep the rules may leave behind, in the bytes of the code.

Owners restore, take terms and die at any moment; what they sent lands in any order, repeatedly or
never. That is more than a log does to them, so what holds here holds there. Records are made by
the code's own writer and read by its filter and its chain (rules 2, 18 and 21).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from symphainy_runtime.journal.chain import Chain
from symphainy_runtime.journal.validity import Validity, judge, takes_ownership
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord

NOTHING = -1
Log = Sequence[tuple[int, bytes]]


class Bounds(NamedTuple):
    """Where the set of journals is cut."""

    length: int = 5
    takes: int = 3  # OwnershipTaken records
    decisions: int = 2  # of one term


class Journal(NamedTuple):
    """A journal, and what an honest reader makes of it."""

    values: tuple[bytes, ...] = ()
    valid: tuple[int, ...] = ()  # the offsets that count
    named: tuple[tuple[int, int], ...] = ()  # of an OwnershipTaken: its offset, and what it names
    # What a reader knows of the last valid record, at each length of the journal.
    known: tuple[Validity, ...] = (Validity(),)
    standing: Validity = Validity()
    decisions: tuple[tuple[bytes, ...], ...] = ()  # what the owner of each term writes, in order

    @property
    def log(self) -> Log:
        """As it is read."""
        return tuple(enumerate(self.values))

    def last_before(self, offset: int) -> int:
        """The last valid offset before `offset`."""
        return max((at for at in self.valid if at < offset), default=NOTHING)


def journals(bounds: Bounds) -> Iterator[Journal]:
    """Every journal within `bounds`, shortest beginnings first."""
    waiting = [Journal()]
    while waiting:
        journal = waiting.pop()
        yield journal
        if len(journal.values) < bounds.length:
            waiting += reversed(list(_longer(journal, bounds)))


def follow(log: Log, chain: Chain) -> list[int]:
    """Read as a restoring owner reads; the offsets that count.

    Raises:
        JournalTampered: the chain is broken.
    """
    standing, last, valid = Validity(), Validity(), []
    for offset, value in log:
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None:
            chain.follow(stored.record, offset, last)
            last = standing
            valid.append(offset)
    return valid


def altered(value: bytes) -> bytes:
    """The same record with another time in it."""
    record = decode(value, JournalRecord)
    return encode(replace(record, at=record.at + 1))


def takes(value: bytes) -> bool:
    """Whether it is an OwnershipTaken."""
    return takes_ownership(decode(value, JournalRecord))


def _longer(journal: Journal, bounds: Bounds) -> Iterable[Journal]:
    if len(journal.decisions) < bounds.takes:
        for known in dict.fromkeys(journal.known):
            yield _taken(journal, known, bounds.decisions)
    for written in journal.decisions:
        for value in written:
            yield _landed(journal, value)


def _taken(journal: Journal, known: Validity, decisions: int) -> Journal:
    """An OwnershipTaken of an owner that restored when `known` stood last."""
    at = len(journal.values)
    value = ownership_taken(f"owner-{at}", at, known, Positions(), NOTHING)
    landed = _landed(journal, value)
    writer = JournalWriter(landed.standing, journal.known[-1])
    written = tuple(
        writer.write(at + number, Heading(), (), Positions(), NOTHING)[1]
        for number in range(1, decisions + 1)
    )
    return landed._replace(
        named=(*journal.named, (at, known.offset)), decisions=(*journal.decisions, written)
    )


def _landed(journal: Journal, value: bytes) -> Journal:
    at = len(journal.values)
    stored = judge(value, at, journal.standing)
    return journal._replace(
        values=(*journal.values, value),
        valid=(*journal.valid, at) if stored.valid else journal.valid,
        known=(*journal.known, stored.standing if stored.valid else journal.known[-1]),
        standing=stored.standing,
    )
