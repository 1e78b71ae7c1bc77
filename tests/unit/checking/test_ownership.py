"""G13, broken one rule at a time.

- The product's filter and the second opinion disagree; a reader from the middle judges otherwise.
- A task sent for a record that does not count; effects of one that are told as acknowledged.
- More outstanding than a concurrency key or a tenant may have.
- The second opinion itself: gaps, repeats, old terms, late takeovers, windows.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import TENANT, execution
from tests.unit.checking.story import POLICY, Story, breaks, handed_back, holds

from symphainy_runtime.journal.validity import Validity
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode
from symphainy_schemas.records import ReportKind
from symphainy_simulation.checking import check_all
from symphainy_simulation.checking.opinion import Stood, counting


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def without_seq(
    self: Validity, record: e.JournalRecord, offset: int, value: bytes
) -> Validity | None:
    """The filter as it must not be: any record of the newest term counts."""
    if record.events and isinstance(record.events[0], e.OwnershipTaken):
        return Validity(offset, 0, offset, b"")
    return Validity(self.term, record.seq, offset, b"") if record.term == self.term else None


def test_a_filter_that_does_not_look_at_the_sequence(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.record((), seq=5)
    holds(story)
    monkeypatch.setattr(Validity, "accept", without_seq)
    breaks(
        story,
        "G13",
        "only the product's filter counts this journal record",
        "a reader that begins at a takeover judges otherwise",
    )


def test_a_filter_that_refuses_to_read_on(story: Story) -> None:
    story.write(story.journal, b"\xc3\x01" + b"12345678" + b"x")
    breaks(story, "G13", "the journal cannot be read on")


def test_a_task_sent_for_a_record_that_does_not_count(story: Story) -> None:
    story.succeed(story.admit(story.intent()))
    counted = story.last
    stale = story.record((story.delivery(1, 2),), execution(), seq=9)
    story.last, story.seq = counted, story.seq - 1
    story.send(stale)
    breaks(story, "G13", "was sent for a record that does not count")


def test_effects_of_what_does_not_count(story: Story) -> None:
    story.acted_to = story.record(())
    story.record(())
    holds(story)
    story.acted_to = story.record((), seq=9)
    story.record(())
    breaks(story, "G13", "acknowledged up to a record that does not count")


# --- concurrency --------------------------------------------------------------------------------

KEYED = replace(POLICY, concurrency_key="work.add:a", key_concurrency=2)


def test_a_concurrency_key_beyond_its_limit(story: Story) -> None:
    names = ("i1", "i2", "i3")
    tasks = [story.admit(story.intent(name), name, KEYED) for name in names]
    for task in tasks:
        story.succeed(task)
    breaks(story, "G13", "3 steps of key work.add:a of tenant acme are outstanding; the limit is 2")


def test_places_that_are_freed_and_kept(story: Story) -> None:
    first = story.admit(story.intent("i1"), "i1", KEYED)
    second = story.admit(story.intent("i2"), "i2", KEYED)
    other = story.admit(story.intent("i4"), "i4", replace(KEYED, concurrency_key="work.add:b"))
    again = story.send(story.record((story.delivery(1, 2),), execution("i1")))
    story.succeed(second)
    third = story.admit(story.intent("i3"), "i3", KEYED)
    back = (handed_back(again), e.StepReady(step="main", attempt=1))
    story.answer(ReportKind.HANDED_BACK, again, *back)
    second_again = story.admit(story.intent("i5"), "i5", KEYED)
    for task in (third, second_again, other):
        story.succeed(task)
    story.succeed(story.send(story.record((story.delivery(1, 3),), execution("i1"))))
    assert first.delivery == 1
    holds(story)


def test_a_tenant_beyond_its_limit(story: Story) -> None:
    tasks = [story.admit(story.intent(name), name) for name in ("i1", "i2")]
    for task in tasks:
        story.succeed(task)
    holds(story, tenant_limits={TENANT: 2})
    breaks(story, "G13", "2 steps of tenant acme are outstanding", tenant_limits={TENANT: 1})


# --- the second opinion -------------------------------------------------------------------------


def taken(offset: int) -> Stood:
    return Stood(offset, replace(_RECORD, events=(e.OwnershipTaken(owner="o", feature_level=1),)))


def of(offset: int, term: int, seq: int) -> Stood:
    return Stood(offset, replace(_RECORD, term=term, seq=seq))


_RECORD = e.JournalRecord(
    term=-1, seq=0, at=0, intents_next=0, steps_next=0, acted_to=-1, prev_hash=b""
)


@pytest.mark.parametrize(
    ("stored", "counts"),
    [
        ([], set()),
        ([of(0, -1, 1), of(1, 0, 1)], set()),
        ([taken(0), of(1, 0, 1), of(2, 0, 2)], {0, 1, 2}),
        ([taken(0), of(1, 0, 1), of(2, 0, 3), of(3, 0, 2)], {0, 1}),
        ([taken(0), of(1, 0, 1), of(2, 0, 1), of(3, 0, 2)], {0, 1, 3}),
        ([taken(0), of(1, 0, 1), taken(2), of(3, 0, 2), of(4, 2, 1)], {0, 1, 2, 4}),
        ([taken(0), taken(1), of(2, 0, 1), of(3, 1, 1)], {0, 1, 3}),
    ],
)
def test_the_second_opinion(stored: list[Stood], counts: set[int]) -> None:
    assert counting(stored) == counts


def test_the_second_opinion_in_a_later_window() -> None:
    later = [of(7, 0, 4), of(8, 0, 5), taken(9), of(10, 9, 1)]
    assert counting(later, 0, 3) == {7, 8, 9, 10}
    assert counting(later, 0, 2) == {9, 10}
    assert counting(later, 0, -2) == {9, 10}


def test_garbage_in_the_journal_counts_for_nobody(story: Story) -> None:
    story.write(story.journal, b"garbage")
    story.write(story.journal, encode(_RECORD))
    story.record(())
    assert check_all(story.history()) == []
