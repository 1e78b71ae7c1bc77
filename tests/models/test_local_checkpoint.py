"""An owner's disk may hold what the journal never confirmed, or no longer holds.

Argued here, in every state of two owners, each with a disk (rule 17):

- A disk that holds only the acknowledged prefix can be begun from. While the broker keeps what it
  acknowledged, even unasked; the question is what else may go wrong.
- A disk that holds speculation must not be trusted on the hash of one record: the record may have
  landed without counting.
- A broker that loses acknowledged records (unclean leader election) makes a disk wrong that is not
  asked about at all; with the hash asked, only a disk whose last record landed behind the loss, in
  a term that had ended; with its validity asked, none.
"""

from __future__ import annotations

import pytest
from tests.models.explorer import Explored, explore
from tests.models.local_checkpoint import (
    Bounds,
    Flush,
    LocalCheckpointModel,
    Rules,
    State,
    Trust,
    broken,
)

KEPT = Bounds(journal=4)
LOSING = Bounds(journal=4, timeouts=0, tails_lost=1)


def _explored(rules: Rules, bounds: Bounds) -> Explored[State]:
    model = LocalCheckpointModel(rules, bounds)
    return explore(model.start(), model.successors, broken)


def _accused(rules: Rules, bounds: Bounds) -> tuple[str, tuple[str, ...]]:
    violation = _explored(rules, bounds).violation
    assert violation is not None
    return violation.sentence, violation.trace


@pytest.mark.parametrize("trust", list(Trust))
def test_a_disk_of_acknowledged_records_can_be_begun_from(trust: Trust) -> None:
    """However little is asked, while the broker keeps its word."""
    found = _explored(Rules(trust=trust), KEPT)
    assert found.violation is None, found.violation
    assert found.states == 20_511


def test_validity_of_the_last_record_covers_a_broker_that_loses_its_tail() -> None:
    found = _explored(Rules(), LOSING)
    assert found.violation is None, found.violation
    assert found.states == 27_637


def test_a_disk_that_is_not_asked_about_brings_back_what_the_broker_lost() -> None:
    sentence, trace = _accused(Rules(trust=Trust.ALWAYS), LOSING)
    assert sentence == "A restored A0.0 A0.1, the journal holds A0.0"
    assert "the broker loses offset 1" in trace
    assert trace[-1] == "A restores from its disk at 1, owns under term 1"


def test_a_hash_alone_trusts_what_landed_behind_the_loss() -> None:
    sentence, trace = _accused(Rules(trust=Trust.HASH), LOSING)
    assert sentence == "A restored A0.0 A0.1 A0.2, the journal holds A0.0 B1.0"
    assert trace.index("the broker loses offset 1") < trace.index("A0.2 lands at 2")


def test_a_hash_alone_trusts_speculation_that_landed_without_counting() -> None:
    sentence, trace = _accused(Rules(trust=Trust.HASH, flush=Flush.SPECULATION), KEPT)
    assert sentence == "A restored A0.0 A0.1 A0.2, the journal holds A0.0 B1.0"
    assert trace.index("A0.1 is lost") < trace.index("A0.2 lands at 2")
