"""Invariants of following a journal from anywhere.

- Records taken together count as those taken one by one do, and leave the same standing, however
  they are cut, and from wherever the reader begins.
- Whoever begins where a record says, knows what counts from there on: also where that record does
  not count.
- A record that nobody can read counts for nothing; one of a newer schema stops the reader.
"""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace
from tests.support.journals import History
from tests.unit.runtime.test_validity import RECORDS, VALUES

from symphainy_runtime.journal.shown import TAKES_OWNERSHIP, read_shown
from symphainy_runtime.journal.standing import Standing, is_of, sure_from
from symphainy_runtime.journal.validity import Validity
from symphainy_schemas.codec import MARKER, decode
from symphainy_schemas.errors import JournalTooNew
from symphainy_schemas.events import JournalRecord

Records = list[tuple[int, bytes, int]]
KNOWN = Validity(0, 1, 1, b"h")


def one_by_one(standing: Standing, records: Records) -> list[int]:
    return [offset for offset, value, _ in records if standing.judge(value, offset).valid]


def together(standing: Standing, records: Records) -> list[int]:
    counting = standing.counting(records, read_shown, TAKES_OWNERSHIP)
    return [offset for offset, _ in counting]


def assert_alike(records: Records, before: Validity | None, cut: int) -> None:
    alone, grouped = Standing(before), Standing(before)
    for part in (records[:cut], records[cut:]):
        assert together(grouped, part) == one_by_one(alone, part)
        assert (grouped.validity, grouped.assumed) == (alone.validity, alone.assumed)


@pytest.mark.parametrize("before", [None, Validity(), KNOWN], ids=["anywhere", "start", "known"])
def test_every_short_journal_counts_together_as_one_by_one(before: Validity | None) -> None:
    for journal in product([*RECORDS, b"no record"], repeat=3):
        records = [
            (at, one if isinstance(one, bytes) else VALUES[one], 0)
            for at, one in enumerate(journal, 2)
        ]
        for cut in (1, 2):
            assert_alike(records, before, cut)


@pytest.mark.parametrize("start", [0, 1, 50, 333])
def test_a_journal_with_all_that_can_befall_one_counts_alike(start: int) -> None:
    history = History(0, 5, 1_790_000_000_000)
    history.grow(3_000)
    assert history.stale
    records = [(at, value, 0) for at, value in enumerate(history.values)][start:]
    for cut in (1, 97, 600, len(records)):
        assert_alike(records, None, cut)


@pytest.mark.parametrize("seed", range(3))
def test_whoever_begins_where_a_record_says_knows_what_counts_from_there(seed: int) -> None:
    history = History(0, seed, 1_790_000_000_000)
    history.grow(1_500)
    records = [(at, value, 0) for at, value in enumerate(history.values)]
    counts = one_by_one(Standing(), records)
    near = 0
    for at, value, _ in records:
        record = decode(value, JournalRecord)
        begin = sure_from(record, at)
        named = decode(history.values[begin], JournalRecord)
        if begin < at and not is_of(named, begin, record.term):
            continue  # what a dead owner wrote in between
        near += begin < at
        found = one_by_one(Standing(), records[begin : at + 60])
        assert found == [one for one in counts if begin <= one < at + 60], at
    assert near > len(records) // 2


def test_what_a_writer_names_that_keeps_no_rule_is_looked_for_before_its_record() -> None:
    wild = replace(decode(VALUES[0, 1], JournalRecord), term=10**6, acted_to=10**6)
    assert sure_from(wild, 40) == 40


def test_a_record_of_a_newer_schema_stops_the_reader() -> None:
    with pytest.raises(JournalTooNew):
        together(Standing(), [(0, MARKER + b"8 unknown", 0)])
