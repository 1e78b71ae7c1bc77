"""Invariants of `ports.Journal`.

- A read yields exactly the records of its range, in order, however many there are.
- Where nothing is there yet it yields an empty batch, goes on when something comes, and gives up
  when nothing has come for long.
- One read after the other, wherever the one before was left.
- `bounds` follow appends and retention; the identity is one and the same for everybody.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.contract.owner_ports.harness import Harness, until

from symphainy_processors.owner.ports import Journal
from symphainy_schemas.errors import Unavailable


def values(first: int, end: int) -> list[tuple[bytes | None, bytes | None]]:
    """Records whose values are their offsets, if `first` is where the log ends."""
    return [(b"", b"%d" % number) for number in range(first, end)]


def everything(journal: Journal, p: int, start: int, end: int) -> list[tuple[int, bytes]]:
    """The whole range."""
    with closing(journal.read(p, start, end)) as batches:
        return [entry for batch in batches for entry in batch]


class JournalContract:
    """What every adapter's journal keeps."""

    def test_a_read_yields_exactly_its_range(self, harness: Harness) -> None:
        harness.write("journal", 1, values(0, 9_000))
        journal = harness.owner("o1").journal
        for start, end in ((0, 9_000), (0, 1), (8_999, 9_000), (17, 18), (2_500, 7_001)):
            found = everything(journal, 1, start, end)
            assert found == [(offset, b"%d" % offset) for offset in range(start, end)]

    def test_an_empty_range_yields_nothing(self, harness: Harness) -> None:
        journal = harness.owner("o1").journal
        assert everything(journal, 0, 0, 0) == []
        assert everything(journal, 0, 7, 3) == []

    def test_a_read_waits_for_what_is_not_there_yet(self, harness: Harness) -> None:
        harness.write("journal", 0, values(0, 3))
        journal = harness.owner("o1").journal
        found: list[tuple[int, bytes]] = []
        with closing(journal.read(0, 0, 5)) as batches:
            until(
                harness,
                lambda: len(found) == 3,
                "what is there is read",
                lambda: found.extend(next(batches)),
            )
            assert next(batches) == []
            harness.write("journal", 0, values(3, 8))
            for batch in batches:
                found.extend(batch)
        assert found == [(offset, b"%d" % offset) for offset in range(5)]

    def test_a_read_that_gets_nothing_for_long_gives_up(self, harness: Harness) -> None:
        harness.write("journal", 0, values(0, 3))
        journal = harness.owner("o1").journal
        with closing(journal.read(0, 0, 4)) as batches:
            found: list[tuple[int, bytes]] = []
            with pytest.raises(Unavailable):
                until(harness, lambda: False, "it gives up", lambda: found.extend(next(batches)))
        assert len(found) == 3

    def test_a_read_left_in_the_middle_leaves_nothing_behind(self, harness: Harness) -> None:
        for p in (0, 1):
            harness.write("journal", p, values(0, 6_000))
        journal = harness.owner("o1").journal
        for start in (0, 3_000, 10):
            batches = journal.read(0, start, 6_000)
            until(harness, lambda it=batches: next(it), "something has come", harness.go_on)  # type: ignore[misc]
            batches.close()
            found = everything(journal, 1, 5_990, 6_000)
            assert found == [(offset, b"%d" % offset) for offset in range(5_990, 6_000)]

    def test_bounds_follow_appends_and_retention(self, harness: Harness) -> None:
        journal = harness.owner("o1").journal
        assert journal.bounds(2) == (0, 0)
        harness.write("journal", 2, values(0, 10))
        assert journal.bounds(2) == (0, 10)
        harness.expire("journal", 2, 4)
        assert journal.bounds(2) == (4, 10)
        assert everything(journal, 2, 4, 10) == [
            (offset, b"%d" % offset) for offset in range(4, 10)
        ]

    def test_a_range_that_is_no_longer_kept_is_refused(self, harness: Harness) -> None:
        harness.write("journal", 2, values(0, 10))
        harness.expire("journal", 2, 4)
        journal = harness.owner("o1").journal
        with pytest.raises(Unavailable):
            everything(journal, 2, 0, 10)
        assert len(everything(journal, 2, 4, 10)) == 6

    def test_the_identity_is_the_logs_own(self, harness: Harness) -> None:
        journal = harness.owner("o1").journal
        before = journal.identity()
        harness.write("journal", 0, values(0, 1))
        assert before
        assert journal.identity() == before
        assert harness.owner("o2").journal.identity() == before
