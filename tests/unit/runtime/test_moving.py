"""Which positions may be moved.

- Owners' and auditors' never; the message says why, and what to do instead.
- A read model only to its beginning; workers only where theirs is expired, or the log ends before.
- Others' anywhere that the log has, and nowhere else; nothing while somebody lives in the group.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_runtime.offsets.lag import AUDITOR, GROUP, OWNER, PROJECTOR, WORKER, Lag
from symphainy_runtime.offsets.moving import (
    OffsetRefused,
    planned,
    require_movable,
    require_stopped,
)


def lag(role: str, position: int | None = 50, first_kept: int = 10, end: int = 100) -> Lag:
    return Lag(
        role=role,
        group="billing",
        topic="t.x",
        partition=3,
        position=position,
        first_kept=first_kept,
        end=end,
        kept_in="",
    )


@pytest.mark.parametrize("role", [OWNER, AUDITOR])
@given(wanted=st.none() | st.integers(0, 200))
def test_what_is_part_of_a_log_is_never_moved(role: str, wanted: int | None) -> None:
    with pytest.raises(OffsetRefused) as refused:
        require_movable(role)
    assert refused.value.cure
    with pytest.raises(OffsetRefused):
        planned(lag(role), wanted)


def test_a_read_model_begins_anew_or_stays() -> None:
    move = planned(lag(PROJECTOR), None)
    assert (move.to, move.again) == (10, 40)
    assert "begins at 10" in move.note, "what is no longer in the journal will be missing"
    assert "begins" not in planned(lag(PROJECTOR, first_kept=0), None).note
    with pytest.raises(OffsetRefused, match="missing from the read model"):
        planned(lag(PROJECTOR), 51)
    with pytest.raises(OffsetRefused, match="twice"):
        planned(lag(PROJECTOR), 49)


@given(
    position=st.none() | st.integers(0, 120),
    first=st.integers(0, 60),
    size=st.integers(0, 60),
    wanted=st.none() | st.integers(0, 200),
)
def test_workers_move_only_where_they_stand_nowhere(
    position: int | None, first: int, size: int, wanted: int | None
) -> None:
    stands = lag(WORKER, position, first, first + size)
    lost = position is not None and not first <= position <= first + size
    if lost and wanted is None:
        assert planned(stands, wanted).to == first
        return
    with pytest.raises(OffsetRefused) as refused:
        planned(stands, wanted)
    assert refused.value.cure


@given(first=st.integers(0, 60), size=st.integers(0, 60), wanted=st.none() | st.integers(0, 200))
def test_others_move_within_the_log(first: int, size: int, wanted: int | None) -> None:
    stands = lag(GROUP, 50, first, first + size)
    to = first if wanted is None else wanted
    if first <= to <= first + size:
        move = planned(stands, wanted)
        assert (move.to, move.again) == (to, 50 - to)
    else:
        with pytest.raises(OffsetRefused):
            planned(stands, wanted)


def test_nothing_moves_while_somebody_lives_in_the_group() -> None:
    require_stopped(WORKER, "g", ())
    with pytest.raises(OffsetRefused, match="worker-1"):
        require_stopped(WORKER, "g", ("worker-1",))


def test_a_position_that_is_not_in_the_log_is_told() -> None:
    assert lag(GROUP, 9).state == "expired"
    assert lag(GROUP, 9).lag == 90, "from what is there"
    assert lag(GROUP, 101).state == "beyond"
    assert (lag(GROUP, 10).state, lag(GROUP, 100).state) == ("", "")
    assert (lag(GROUP, None).state, lag(GROUP, None).lag) == ("", None)
