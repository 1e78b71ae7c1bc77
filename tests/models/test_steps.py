"""One step with one checkpoint: deliveries, workers of which one may be paused, takeovers.

Argued here, in every state within the bounds that each test names (rules 12 to 15):

- G5: a delivery that is sent after the checkpoint was journaled carries it, and what Kafka had when
  a delivery was given up is recorded first.
- G7: no handler starts after the compensation was dispatched, and none runs then whose time is not
  up.
- The step comes to its end, also when a paused worker never wakes.
- Nobody promises that a checkpointed step never runs again.

Each rule's wrong variant is found: a delivery sent again under its number, one given up before the
marker came back (at a takeover, at its time, at a hand-back by a worker that only found it), a
`start_by` that workers ignore, an end that does not wait, a marker that settles what it was not
written for, a pause longer than the allowed skew, a `start_by` that is taken for an end.
"""

from __future__ import annotations

import pytest
from tests.models.explorer import Explored, explore, stranded
from tests.models.steps import PROMISED, Bounds, Claim, GiveUp, HandBack, Rules, State, Takeover
from tests.models.steps_workers import StepsModel, broken, ended

FULL = Bounds()
THREE = Bounds(deliveries=3, takeovers=0, pauses=0, moves=0)
SAFE = [
    (Bounds(pauses=0), 144_487),
    (Bounds(moves=0), 88_870),
    (Bounds(takeovers=0), 99_512),
    (THREE, 67_334),
]
READ = "; what Kafka had of it is unread"
LATE = "starts after the compensation was dispatched"


def _explored(rules: Rules, bounds: Bounds, claims: frozenset[Claim]) -> Explored[State]:
    model = StepsModel(rules, bounds, claims)
    return explore(model.start(), model.successors, broken)


def _accused(rules: Rules, claim: Claim, bounds: Bounds = FULL) -> tuple[str, tuple[str, ...]]:
    """The complaint about wrong rules, and the shortest way there."""
    violation = _explored(rules, bounds, frozenset({claim})).violation
    assert violation is not None
    return violation.sentence, violation.trace


@pytest.mark.parametrize(("bounds", "states"), SAFE)
def test_the_rules_keep_what_is_promised_of_a_step(bounds: Bounds, states: int) -> None:
    found = _explored(Rules(), bounds, PROMISED)
    assert found.violation is None, found.violation
    assert found.states == states


def test_a_step_ends_even_if_a_paused_worker_never_wakes() -> None:
    bounds = Bounds(takeovers=0, moves=0)
    found = _explored(Rules(), bounds, PROMISED)
    assert found.violation is None, found.violation
    calm = StepsModel(Rules(), bounds, PROMISED).calm
    assert stranded(found.origins, calm, ended) == []


def test_nobody_promises_that_a_checkpointed_step_never_runs_again() -> None:
    sentence, _ = _accused(Rules(), Claim.RUNS_ONCE, Bounds(pauses=0, moves=0))
    assert sentence.endswith("runs X, which is journaled")


def test_a_delivery_sent_again_as_it_was_lacks_the_checkpoint() -> None:
    rules = Rules(takeover=Takeover.RESEND)
    sentence, trace = _accused(rules, Claim.CARRIES)
    assert sentence == "delivery 1 is sent without X, which is journaled"
    assert trace[-1] == "a new owner sends delivery 1 again"
    assert _accused(rules, Claim.NO_LATE_START)[0].endswith(LATE)


@pytest.mark.parametrize(
    ("rules", "last"),
    [
        (
            Rules(takeover=Takeover.DELIVER_AT_ONCE),
            "a new owner doubts that delivery 1 was sent",
        ),
        (
            Rules(give_up=GiveUp.AT_ONCE),
            "delivery 1 is due: nobody reported its start",
        ),
        (
            Rules(hand_back=HandBack.ENDS_IT),
            "the owner reads the hand-back by another of delivery 1",
        ),
    ],
    ids=["takeover", "timeout", "hand-back"],
)
def test_who_gives_up_before_the_marker_leaves_a_checkpoint_unread(rules: Rules, last: str) -> None:
    sentence, trace = _accused(rules, Claim.READS_FIRST)
    assert sentence == f"delivery 1 is given up{READ}"
    assert "delivery 1 at worker 1 runs X, Kafka has it" in trace
    assert trace[-1] == last


def test_a_marker_settles_only_the_delivery_that_it_was_written_for() -> None:
    sentence, trace = _accused(Rules(marker_names_delivery=False), Claim.READS_FIRST, THREE)
    assert sentence == f"delivery 2 is given up{READ}"
    assert trace.index("the owner writes a marker") < trace.index(
        "delivery 2 is due: nobody reported its start"
    )
    assert trace[-1] == "the owner reads back its marker"


def test_what_another_worker_hands_back_may_still_start_at_the_first() -> None:
    sentence, trace = _accused(Rules(hand_back=HandBack.ENDS_IT), Claim.NO_LATE_START)
    assert sentence == f"delivery 1 {LATE}"
    assert trace[:3] == (
        "worker 1 fetches delivery 1",
        "worker 1 is paused",
        "worker 2 takes over worker 1's tasks, hands back delivery 1",
    )
    assert trace[-2] == "worker 1 wakes up"


def test_workers_that_ignore_start_by_start_too_late() -> None:
    sentence, trace = _accused(Rules(workers_keep_start_by=False), Claim.NO_LATE_START)
    assert sentence == f"delivery 1 {LATE}"
    assert "start_by of delivery 1 passes" in trace


def test_an_end_that_does_not_wait_comes_before_a_start() -> None:
    sentence, trace = _accused(Rules(end_waits=False), Claim.NO_LATE_START)
    assert sentence == f"delivery 2 {LATE}"
    assert trace[-2] == "the owner reads the failure of delivery 1"


def test_a_pause_longer_than_the_skew_between_looking_and_starting_starts_too_late() -> None:
    rules = Rules(skew_covers_pauses=False)
    sentence, trace = _accused(rules, Claim.NO_LATE_START, Bounds(moves=0))
    assert sentence == f"delivery 1 {LATE}"
    assert "delivery 1 at worker 1 may start" in trace
    assert trace[-2] == "worker 1 wakes up"


def test_a_passed_start_by_does_not_mean_that_nothing_runs() -> None:
    rules = Rules(start_by_ends=True)
    sentence, trace = _accused(rules, Claim.TIME_TO_END)
    assert sentence == "the end comes while delivery 1 runs, within its time"
    assert trace[1:3] == ("delivery 1 at worker 1 starts", "worker 1 is paused")
    awake = _explored(rules, Bounds(pauses=0, takeovers=0), PROMISED)
    assert awake.violation is None, awake.violation
    assert awake.states == 26_880
