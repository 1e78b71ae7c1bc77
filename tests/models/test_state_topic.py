"""`state` is written by two owners who may both believe that they own.

Argued here, in every state of three takeovers, with local disks and without (rule 16); owners that
only differ in their names are one:

- Every key in `state` is as the journal has it at the marker's offset.
- Without fencing, an older owner writes over what a newer one wrote.
- Fencing by transactions alone does not do: who is fenced off initialises anew, and then holds the
  newest epoch. The term in the marker, read after that, stops it.
- An owner that begins from a disk ahead of the marker reads from the journal what changed between,
  else those keys are never written.
"""

from __future__ import annotations

import pytest
from tests.models.explorer import Explored, explore, up_to
from tests.models.state_topic import (
    Bounds,
    Fence,
    Gap,
    Rules,
    State,
    StateTopicModel,
    alike,
    reflects_the_journal,
)

DISKS = Bounds(journal=5)
NO_DISKS = Bounds(disks=False)


def _explored(rules: Rules, bounds: Bounds) -> Explored[State]:
    model = StateTopicModel(rules, bounds)
    return explore(model.start(), model.successors, reflects_the_journal)


def _accused(rules: Rules) -> tuple[str, tuple[str, ...]]:
    violation = _explored(rules, DISKS).violation
    assert violation is not None
    return violation.sentence, violation.trace


@pytest.mark.parametrize(("bounds", "states"), [(DISKS, 55_074), (NO_DISKS, 17_375)])
def test_state_is_what_the_journal_says_at_the_marker(bounds: Bounds, states: int) -> None:
    model = StateTopicModel(Rules(), bounds)
    found = explore(model.start(), up_to(alike, model.successors), reflects_the_journal)
    assert found.violation is None, found.violation
    assert found.states == states


def test_an_unfenced_owner_writes_over_its_successor() -> None:
    sentence, trace = _accused(Rules(fence=Fence.NONE))
    assert sentence == "at marker 0 key 0 is as changed at 2; the journal says -1"
    assert trace[-2:] == ("B writes what changed in 0..2", "A writes what changed in 0..0")


def test_transactions_alone_let_an_older_owner_fence_off_the_newer_one() -> None:
    sentence, trace = _accused(Rules(fence=Fence.TRANSACTIONS))
    assert sentence == "at marker 0 key 0 is as changed at 2; the journal says -1"
    assert trace[-2:] == (
        "A fences others, sees the marker at 2",
        "A writes what changed in 0..0",
    )


def test_a_gap_between_disk_and_marker_must_be_filled() -> None:
    sentence, trace = _accused(Rules(gap=Gap.FORGOTTEN))
    assert sentence == "at marker 2 key 0 is as changed at -1; the journal says 1"
    assert "A restores from its disk at 1, owns under term 2" in trace
    assert trace[-1] == "A writes what changed in 2..2"
