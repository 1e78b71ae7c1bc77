"""Invariants of following a journal from anywhere.

- Records taken together count as those taken one by one do, and leave the same standing, however
  they are cut, and from wherever the reader begins.
- A record that nobody can read counts for nothing; one of a newer schema stops the reader.
"""

from __future__ import annotations

from itertools import product

import pytest
from tests.support.journals import History
from tests.unit.runtime.test_validity import RECORDS, VALUES

from symphainy_runtime.journal.shown import TAKES_OWNERSHIP, read_shown
from symphainy_runtime.journal.standing import Standing
from symphainy_runtime.journal.validity import Validity
from symphainy_schemas.codec import MARKER
from symphainy_schemas.errors import JournalTooNew

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
    for journal in product([*RECORDS, b"no record"], repeat=4):
        records = [
            (at, one if isinstance(one, bytes) else VALUES[one], 0)
            for at, one in enumerate(journal, 2)
        ]
        for cut in (2, 4):
            assert_alike(records, before, cut)


@pytest.mark.parametrize("start", [0, 1, 50, 333])
def test_a_journal_with_all_that_can_befall_one_counts_alike(start: int) -> None:
    history = History(0, 5, 1_790_000_000_000)
    history.grow(3_000)
    assert history.stale
    records = [(at, value, 0) for at, value in enumerate(history.values)][start:]
    for cut in (1, 97, 600, len(records)):
        assert_alike(records, None, cut)


def test_a_record_of_a_newer_schema_stops_the_reader() -> None:
    with pytest.raises(JournalTooNew):
        together(Standing(), [(0, MARKER + b"8 unknown", 0)])
