"""Whose local state a partition finds.

- A topic that was deleted and made anew under its name is not the one that the state reflects.
- Another cluster's, topic's or partition's state is only of no use.
- Decisions whose effects may be missing are read again; what retention has passed is told.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import cast

import pytest
from msgspec.structs import replace

from symphainy_processors.fold.evolve import UNPLACED
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import StateLog
from symphainy_processors.owner.restoring import Restoring, made_anew
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.events import JournalRecord

TODAY = "cluster/acme.journal/id/2=/3"


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ("cluster/acme.journal/id/1=/3", True),
        ("cluster/acme.journal/other/3", True),
        (TODAY, False),
        ("cluster/acme.journal/id/2=/1", False),
        ("cluster/other.journal/id/1=/3", False),
        ("another/acme.journal/id/1=/3", False),
        ("cluster/id/3", False),
        ("", False),
    ],
)
def test_only_a_topic_of_the_same_name_was_made_anew(known: str, found: bool) -> None:
    assert made_anew(known, TODAY) is found


class Kept:
    """A journal of which retention has left the records from `low` on. Implements
    `ports.Journal`."""

    def __init__(self, low: int, end: int) -> None:
        self.low, self.end = low, end

    def identity(self) -> str:
        return "cluster/journal/id"

    def bounds(self, partition: int) -> tuple[int, int]:
        return self.low, self.end

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        assert self.low <= start, "what is gone is not read"
        yield [(offset, encode(replace(UNPLACED, seq=offset))) for offset in range(start, end)]


def records(low: int, offsets: set[int]) -> dict[int, JournalRecord]:
    """What a takeover gets of these decisions."""
    options = OwnerOptions(partitions=1)
    work = Restoring(Kept(low, 20), cast(StateLog, None), options).records(0, offsets)
    while True:
        try:
            next(work)
        except StopIteration as done:
            return cast(dict[int, JournalRecord], done.value)


def test_a_takeover_gets_the_decisions_whose_effects_may_be_missing() -> None:
    found = records(3, {5, 9})
    assert {offset: record.seq for offset, record in found.items()} == {5: 5, 9: 9}
    assert records(3, set()) == {}


def test_one_that_retention_has_passed_is_an_operator_s_matter() -> None:
    with pytest.raises(OperatorError, match="gone is the decision at 2") as refused:
        records(3, {2, 9})
    assert refused.value.code == "journal_expired"
