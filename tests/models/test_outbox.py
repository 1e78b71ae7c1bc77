"""What Kafka has not acknowledged is folded state, and a takeover repeats it.

Argued here, in every state of up to three owners who follow each other (rule 11):

- Every valid dispatch was sent once an owner has nothing left to do, and what stands at or before
  `acted_to` was sent; and such an owner always comes about when nothing fails.
- `acted_to` stands still while a takeover delivers anew: were it to move with the first of the new
  deliveries, a crash in between would forget the others.
- The outbox is part of what a checkpoint holds: the journal behind it is not enough.
- It does no harm if an OwnershipTaken that lands late moves `acted_to` back: more is repeated.
"""

from __future__ import annotations

from tests.models.explorer import Explored, explore, stranded
from tests.models.outbox import (
    ActedTo,
    Bounds,
    Outbox,
    OutboxModel,
    Ownership,
    Rules,
    State,
    acted_to_is_true,
    all_sent,
    settled,
)

FULL = Bounds()
SMALL = Bounds(takes=2)


def _explored(rules: Rules, bounds: Bounds) -> Explored[State]:
    model = OutboxModel(rules, bounds)
    return explore(
        model.start(), model.successors, lambda state: all_sent(state) or acted_to_is_true(state)
    )


def _accused(rules: Rules) -> tuple[str, tuple[str, ...]]:
    violation = _explored(rules, FULL).violation
    assert violation is not None
    return violation.sentence, violation.trace


def test_every_dispatch_is_sent_and_acted_to_never_lies() -> None:
    found = _explored(Rules(), FULL._replace(records=3))
    assert found.violation is None, found.violation
    assert found.states == 63_837


def test_an_owner_left_in_peace_sends_all_there_is() -> None:
    found = _explored(Rules(), SMALL)
    assert found.states == 14_446
    calm = OutboxModel(Rules(), SMALL).calm
    assert stranded(found.origins, calm, settled) == []


def test_acted_to_that_moves_within_a_takeover_forgets_the_rest_of_it() -> None:
    sentence, trace = _accused(Rules(acted_to=ActedTo.WITH_THE_FIRST))
    assert sentence == "acted_to is 3, but step 2 was never sent"
    assert trace[-2:] == (
        "it owns under term 3 and delivers anew [1, 2]",
        "its append (seq 1) lands at 4",
    )


def test_an_outbox_that_ends_at_the_checkpoint_forgets_what_stands_before_it() -> None:
    sentence, trace = _accused(Rules(outbox=Outbox.FORGOTTEN))
    assert sentence == "the owner has nothing left to do, but step 1 was never sent"
    assert trace[-4:] == (
        "a local checkpoint at 1",
        "it dies",
        "an owner restores and sends OwnershipTaken",
        "it owns under term 2 and delivers anew []",
    )


def test_an_ownership_taken_that_moves_acted_to_back_only_repeats_more() -> None:
    found = _explored(Rules(ownership=Ownership.REWINDS), SMALL)
    assert found.violation is None, found.violation
    assert found.states == 19_400
