"""The hash chain: it accuses nobody who kept the rules, and this is what it finds.

Argued here, over every journal of up to six records (rules 18 and 21), with the code's own writer,
filter and chain:

- No journal that honest owners leave behind breaks the chain, whatever landed late, twice or never.
- Therefore an OwnershipTaken may name an earlier predecessor: a chain that wanted it to name the
  last record would accuse owners whose predecessor's last record landed late.
- Therefore the first record of a term names what stood before it: a chain that did not look there
  would miss a change of such a late record.
- A changed record is found exactly if a later valid one was written on top of it. Not found are a
  change of the last valid record, and of one that stands last before a takeover which did not know
  it and wrote nothing.
- Cutting off the end leaves another honest journal: only who remembers more can tell.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.models.chain import NOTHING, Bounds, Journal, altered, follow, journals

from symphainy_runtime.journal.chain import Chain, JournalTampered
from symphainy_runtime.journal.validity import Validity, takes_ownership
from symphainy_schemas.events import JournalRecord

LONG = Bounds(length=6)
SHORT = Bounds(length=5)


class WantsTheLast(Chain):
    """A wrong chain: an OwnershipTaken must name the last record."""

    def follow(self, record: JournalRecord, at: int, last: Validity) -> None:
        named = NOTHING if record.previous is None else record.previous.offset
        if takes_ownership(record) and named != last.offset:
            raise JournalTampered(f"{at} names {named}, not {last.offset}")
        super().follow(record, at, last)


class IgnoresTheFirst(Chain):
    """A wrong chain: what the first record of a term names is not looked at."""

    def follow(self, record: JournalRecord, at: int, last: Validity) -> None:
        named = record.previous if takes_ownership(record) else None
        super().follow(replace(record, previous=named), at, last)


def test_no_honest_journal_breaks_the_chain() -> None:
    seen = 0
    for journal in journals(LONG):
        assert tuple(follow(journal.log, Chain(0))) == journal.valid
        seen += 1
    assert seen == 7_691


def test_a_chain_that_wants_the_last_record_named_accuses_the_honest() -> None:
    accused = next(journal for journal in journals(SHORT) if not _passes(journal, WantsTheLast))
    offset, named = accused.named[-1]
    assert named < accused.last_before(offset)


def test_a_change_is_found_exactly_if_something_was_written_on_top_of_it() -> None:
    found, missed = _changes(Chain)
    assert (found, missed) == (1_723, 2_159)


def test_a_chain_that_ignores_what_a_first_record_names_misses_changes() -> None:
    with pytest.raises(AssertionError, match="written on top of it by the first record"):
        _changes(IgnoresTheFirst)


def test_a_cut_end_leaves_an_honest_journal() -> None:
    for journal in journals(SHORT):
        shorter = journal.log[:-1]
        assert follow(shorter, Chain(0)) == [at for at in journal.valid if at < len(shorter)]


def _changes(chain: Callable[[int], Chain]) -> tuple[int, int]:
    """How many single changes of valid records are found, and how many are not."""
    found = missed = 0
    for journal in journals(SHORT):
        for offset in journal.valid:
            told, on_top = _tells(journal, offset, chain), _on_top(journal, offset)
            assert told == bool(on_top), f"{offset} of {journal}: written on top of it by {on_top}"
            found, missed = found + told, missed + (not told)
    return found, missed


def _tells(journal: Journal, offset: int, chain: Callable[[int], Chain]) -> bool:
    changed = [(at, altered(value) if at == offset else value) for at, value in journal.log]
    try:
        follow(changed, chain(0))
    except JournalTampered:
        return True
    return False


def _on_top(journal: Journal, offset: int) -> str:
    """Which valid record was written on top of the one at `offset`; empty if none was."""
    later = [at for at in journal.valid if at > offset]
    takeovers = dict(journal.named)
    if not later:
        return ""
    if later[0] not in takeovers:
        return "the next decision"
    if takeovers[later[0]] == offset:
        return "the next takeover"
    if len(later) > 1 and later[1] not in takeovers:
        return "the first record of the next term"
    return ""


def _passes(journal: Journal, chain: Callable[[int], Chain]) -> bool:
    try:
        follow(journal.log, chain(0))
    except JournalTampered:
        return False
    return True
