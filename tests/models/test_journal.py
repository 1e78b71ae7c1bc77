"""One journal, two owners, and everything that a log does to what they append.

Argued here, by visiting every state within the bounds that each test names (rules 1 to 4 and 6):

- Rule 1: an owner folds up to its own OwnershipTaken before it decides.
- Rule 2: a record counts if its term is the newest and its seq the next. Term alone, or term and
  offset, would not do. That nothing counts after a gap is more than safety needs.
- Rule 3: an owner acts on nothing but acknowledgements at the offset counted for. Dropping
  everything at any doubt is safe (as built), reading back is too, ignoring doubt is not.
- Rule 4: an owner that lost its term takes again, else a delayed OwnershipTaken of a dead owner
  leaves a partition that nobody serves.
- Rule 6: what an OwnershipTaken says of positions never moves them back.
- The model's filter is the code's.

What must hold: valid decisions take the inputs once and in order (G2, G8), and whoever acts on a
record acts on one that counts (G4, G13).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.models.explorer import Explored, explore, stranded, up_to
from tests.models.journal import (
    Bounds,
    Decision,
    Doubt,
    Filter,
    JournalModel,
    Positions,
    Reader,
    Rules,
    State,
    Take,
    alike,
    broken,
    served,
)

from symphainy_runtime.journal.validity import Validity
from symphainy_schemas.events import JournalRecord, OwnershipTaken

# Two takeovers with every fault; three with one input, without doubles, without any fault; the
# group changing its mind. Owners that only differ in their names are one.
SAFE = [
    (Bounds(takes=2), 9_755),
    (Bounds(inputs=1), 10_796),
    (Bounds(duplicates=0), 65_387),
    (Bounds(timeouts=0, duplicates=0), 11_043),
    (Bounds(takes=2, moves=2, named="A"), 38_703),
]
SMALL = Bounds(takes=2)
LARGE = Bounds()


def _explored(rules: Rules, bounds: Bounds) -> Explored[State]:
    model = JournalModel(rules, bounds)
    return explore(model.start(), model.successors, broken)


def _accused(rules: Rules, bounds: Bounds = LARGE) -> tuple[str, tuple[str, ...]]:
    """The complaint about wrong rules, and the shortest way there."""
    violation = _explored(rules, bounds).violation
    assert violation is not None
    return violation.sentence, violation.trace


@pytest.mark.parametrize(("bounds", "states"), SAFE)
def test_the_rules_as_built_hold_in_every_state(bounds: Bounds, states: int) -> None:
    model = JournalModel(Rules(), bounds)
    found = explore(model.start(), up_to(alike, model.successors), broken)
    assert found.violation is None, found.violation
    assert found.states == states


def test_reading_back_at_a_doubt_would_be_safe_too() -> None:
    found = _explored(Rules(doubt=Doubt.READ_BACK), SMALL)
    assert found.violation is None, found.violation
    assert found.states == 18_989


def test_safety_does_not_rest_on_a_terms_end_after_a_gap() -> None:
    found = _explored(Rules(filter=Filter.TERM_AND_SEQ_WITHOUT_END), SMALL)
    assert found.violation is None, found.violation
    assert found.states == 18_642


def test_term_alone_takes_what_stands_behind_a_lost_record() -> None:
    sentence, trace = _accused(Rules(filter=Filter.TERM), Bounds(duplicates=0))
    assert sentence == "decision 2 (term 0, seq 2) counts as decision number 1"
    assert trace[-2:] == (
        "decision 1 (term 0, seq 1) of A times out",
        "decision 2 (term 0, seq 2) of A lands at 1",
    )


def test_term_alone_takes_what_a_producer_sends_twice() -> None:
    sentence, trace = _accused(Rules(filter=Filter.TERM), Bounds(timeouts=0))
    assert sentence == "decision 1 (term 0, seq 1) counts as decision number 2"
    assert trace[-1] == "decision 1 (term 0, seq 1) of A is sent again and lands again at 2"


def test_term_and_offset_take_what_fell_into_place() -> None:
    sentence, trace = _accused(Rules(filter=Filter.TERM_AND_OFFSET))
    assert sentence == "decision 2 (term 0, seq 2) counts as decision number 1"
    assert "decision 1 (term 0, seq 1) of A times out" in trace
    assert trace[-1] == "decision 2 (term 0, seq 2) of A is sent again and lands again at 2"


def test_an_owner_that_ignores_doubt_acts_on_what_does_not_count() -> None:
    sentence, _ = _accused(Rules(doubt=Doubt.IGNORE))
    assert sentence == "A acted on decision 1 (term 0, seq 1) at 2, which does not count"


def test_an_owner_that_decides_on_what_it_restored_decides_again() -> None:
    sentence, trace = _accused(Rules(folds_to_term=False))
    assert sentence == "decision 1 (term 2, seq 1) counts as decision number 2"
    assert _lands_between(trace)


def test_positions_of_an_ownership_taken_must_not_move_back() -> None:
    sentence, trace = _accused(Rules(positions=Positions.BELIEVED))
    assert sentence == "decision 1 (term 2, seq 1) counts as decision number 2"
    assert _lands_between(trace)


def test_the_owner_that_the_group_names_serves_in_the_end() -> None:
    lost, _ = _unserved(Rules())
    assert lost == []


def test_an_overtaken_owner_that_does_not_take_again_leaves_nobody() -> None:
    lost, found = _unserved(Rules(takes_again=False))
    traces = (found.trace(state) for state in lost if state.owners[0].barred)
    delayed = next(trace for trace in traces if _comes(trace, "late OwnershipTaken lands"))
    assert _comes(delayed, "A crashes")
    assert _comes(delayed, "A drops its memory: decision 1")


def _comes(trace: tuple[str, ...], beginning: str) -> bool:
    return any(label.startswith(beginning) for label in trace)


def _lands_between(trace: tuple[str, ...]) -> bool:
    """Whether a record of the last owner landed after the next one had restored."""
    restored = trace.index("B restores and sends OwnershipTaken")
    landed = trace.index("decision 1 (term 0, seq 1) of A lands at 1")
    return restored < landed < trace.index("OwnershipTaken of B lands at 2")


def _unserved(rules: Rules) -> tuple[list[State], Explored[State]]:
    """The states from which the named owner, left in peace, never acts again."""
    bounds = Bounds(takes=2, moves=1, named="A")
    model = JournalModel(rules, bounds)
    found = _explored(rules, bounds)
    assert found.violation is None, found.violation
    from_here = [state for state in found.origins if not state.served]
    return stranded(from_here, model.calm, served), found


# --- the code's filter ------------------------------------------------------------------------


RECORDS: tuple[Take | Decision, ...] = (
    Take(1),
    *(Decision(term, seq, seq) for term in range(4) for seq in range(1, 4)),
)


def test_the_models_filter_is_the_codes() -> None:
    model = JournalModel(Rules(), Bounds())
    disagreements: list[str] = []

    def longer(state: tuple[Reader, Validity]) -> Iterator[tuple[str, tuple[Reader, Validity]]]:
        reader, standing = state
        if reader.length == 6:
            return
        for record in RECORDS:
            following, counts = model.read(reader, record)
            real = _record(record)
            accepted = standing.accept(real, reader.length, b"")
            if counts != (accepted is not None):
                disagreements.append(f"{record} behind {reader}")
            after = standing.after(real) if accepted is None else accepted
            yield str(record), (following._replace(decided=0, next_input=0), after)

    found = explore((Reader(), Validity()), longer, lambda state: None)
    assert disagreements == []
    assert found.states == 126


def _record(record: Take | Decision) -> JournalRecord:
    if isinstance(record, Take):
        taken = OwnershipTaken(owner="A", feature_level=1)
        return _bare(term=-1, seq=0, events=(taken,))
    return _bare(term=record.term, seq=record.seq, events=())


def _bare(term: int, seq: int, events: tuple[OwnershipTaken, ...]) -> JournalRecord:
    return JournalRecord(
        term=term,
        seq=seq,
        at=0,
        intents_next=0,
        steps_next=0,
        acted_to=-1,
        prev_hash=b"",
        previous=None,
        events=events,
    )
