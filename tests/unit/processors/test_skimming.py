"""What a backtest reads of a journal, held against reading every record whole.

- Of any sequence of records, whole ones and damaged ones, of several owners, from any place on: the
  same count, and whatever tells of an admission is read whole.
- A damaged record that looks like the next one counts no more once the rest of it is looked at.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.samples import EVENTS

from symphainy_processors.backtesting.skimming import Glance, Skimming
from symphainy_runtime.journal.validity import Validity, judge, takes_ownership
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_schemas.events import IntentReceived, JournalRecord, OwnershipTaken

RECEIVED = next(event for event in EVENTS if type(event) is IntentReceived)
OTHER = next(event for event in EVENTS if type(event) not in (IntentReceived, OwnershipTaken))
HEAD_BYTES = 70
"""Damage behind these leaves a record's numbers and the hash of the one before it."""


class Whole:
    """A backtest's standing as it is defined: by reading everything."""

    def __init__(self) -> None:
        self._known, self._validity = False, Validity()

    def counts(self, value: bytes, offset: int) -> JournalRecord | None:
        """The record, if it counts."""
        stored = judge(value, offset, self._validity)
        record = stored.record
        if not self._known and record is not None:
            if takes_ownership(record):
                self._known = True
            elif record.term > self._validity.term:
                stored = judge(value, offset, Validity(record.term, record.seq - 1))
        self._validity = stored.standing
        return record if stored.valid else None


class Owner:
    """Writes under a term of its own, whoever else does."""

    def __init__(self, offset: int, before: Validity) -> None:
        self.taken = ownership_taken("o", 0, before, Positions(), -1)
        self._standing = judge(self.taken, offset, before).standing
        self._writer = JournalWriter(self._standing, before)

    def write(self, admission: bool) -> bytes:
        """The next record."""
        events = (RECEIVED if admission else OTHER, OTHER)
        return self._writer.write(0, Heading(), events, Positions(), -1)[1]


def damaged(value: bytes, at: int) -> bytes:
    """Cut in the rest, or with another byte there."""
    place = HEAD_BYTES + at % (len(value) - HEAD_BYTES)
    return value[:place] if at % 2 else value[:place] + b"\xff" * 3 + value[place + 3 :]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "go on", "go on", "take over", "old owner", "lose"]),
        st.none() | st.none() | st.integers(0, 5_000),
    ),
    min_size=1,
    max_size=25,
)


def journal(steps: list[tuple[str, int | None]]) -> list[bytes]:
    """A log: its owners' records, some damaged, some lost."""
    owners = [Owner(0, Validity())]
    values, standing = [owners[0].taken], Validity()
    standing = judge(values[0], 0, standing).standing
    for kind, damage in steps:
        if kind == "take over":
            owners.append(Owner(len(values), standing))
            value = owners[-1].taken
        else:
            owner = owners[-2] if kind == "old owner" and len(owners) > 1 else owners[-1]
            value = owner.write(kind == "admit")
        if kind == "lose":
            continue
        if damage is not None and kind != "take over":
            value = damaged(value, damage)
        standing = judge(value, len(values), standing).standing
        values.append(value)
    return values


@settings(deadline=None)
@given(steps=STEPS, start=st.integers(0, 20))
def test_the_same_records_count_as_if_all_were_read_whole(
    steps: list[tuple[str, int | None]], start: int
) -> None:
    values = journal(steps)
    start = min(start, len(values) - 1)
    whole, standing = Whole(), Skimming()
    for offset, value in enumerate(values[start:], start):
        wanted, found = whole.counts(value, offset), standing.skim(value, offset)
        if wanted is not None:
            assert found is not None
            assert (found.term, found.seq) == (wanted.term, wanted.seq)
            assert found.intents_next == wanted.intents_next
            if type(wanted.events[0]) is IntentReceived:
                assert found == wanted
        else:  # what is no admission may seem to count until the next is judged
            assert not isinstance(found, JournalRecord)
    if found is not None:
        assert standing.settle() == (wanted is not None)


def test_a_damaged_record_ends_its_term_once_it_is_looked_at() -> None:
    values = journal([("go on", None), ("go on", None), ("admit", None)])
    assert [one is not None for one in judged(values)] == [True, True, True, True]
    values[2] = damaged(values[2], 0)
    assert [one is not None for one in judged(values)] == [True, True, True, False]


def judged(values: list[bytes]) -> list[JournalRecord | Glance | None]:
    """What a backtest takes of each."""
    standing = Skimming()
    return [standing.skim(value, offset) for offset, value in enumerate(values)]
