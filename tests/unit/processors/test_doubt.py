"""A task whose sending is in doubt.

- It is delivered anew, under the next number, once all is read that was reported before; not if it
  had come to stand and was answered.
- Until then nothing says that its effect is acknowledged; after that something does, also where the
  next one is in doubt as well.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.test_notices import Scene

from symphainy_schemas.records import Error, ReportKind

AGAIN = Error(code="handler_error", message="not yet", retryable=True)


class Doubtful(Scene):
    """The next tasks are in doubt: whether each has come to stand all the same."""

    def __init__(self, *arrives: bool) -> None:
        self.doubts = list(arrives)
        super().__init__()

    def lands(self) -> None:
        """Kafka answers everything, what is in doubt as that."""
        while self.log.flying or self.log.sending:
            while self.log.flying:
                self.log.land()
            while self.log.sending:
                if self.doubts:
                    self.log.doubt(self.doubts.pop(0))
                else:
                    self.log.deliver()

    def ticks(self, ms: int = 10) -> None:
        """Time passes; what is written to the steps meanwhile is not read yet."""
        self.world.now += ms
        self.owned.tick()
        self.lands()

    @property
    def all_acted(self) -> bool:
        """Whether every effect is said to be acknowledged."""
        ledger = self.owned.ledger
        return ledger.acted_to == ledger.next_offset - 1


@pytest.mark.parametrize("arrives", [True, False])
def test_it_is_delivered_anew_under_the_next_number(arrives: bool) -> None:
    scene = Doubtful(arrives)
    assert len(scene.log.tasks) == arrives
    assert not scene.all_acted
    scene.time_passes()
    assert [task.delivery for task in scene.log.tasks] == ([1, 2] if arrives else [2])
    assert scene.task.attempt == 1
    scene.reports(ReportKind.SUCCEEDED)
    scene.time_passes()
    assert scene.all_acted


def test_what_had_come_to_stand_and_was_answered_is_not() -> None:
    scene = Doubtful(True)
    scene.ticks()
    scene.reports(ReportKind.SUCCEEDED)
    scene.time_passes()
    assert [task.delivery for task in scene.log.tasks] == [1]
    assert scene.all_acted


def test_the_next_one_may_be_in_doubt_before_the_first_is_dealt_with() -> None:
    scene = Doubtful(True, True)
    scene.ticks()  # its marker is written, and not read yet
    scene.reports(ReportKind.FAILED, error=AGAIN)
    scene.ticks(60_000)  # the next attempt, which is in doubt as well
    scene.ticks()
    assert [task.delivery for task in scene.log.tasks] == [1, 2]
    for _ in range(3):
        scene.time_passes()
    assert [(task.attempt, task.delivery) for task in scene.log.tasks] == [(1, 1), (2, 2), (2, 3)]
    scene.reports(ReportKind.SUCCEEDED)
    for _ in range(3):
        scene.time_passes()
    assert scene.all_acted


def test_what_is_told_late_of_an_older_one_does_not_hide_the_newer() -> None:
    scene = Doubtful(True, True)
    first, second = ("main", 1), ("main", 2)
    told = scene.owned.ledger.in_doubt
    assert len(told) == 1
    early, scene.owned.ledger.in_doubt = told, []
    scene.reports(ReportKind.FAILED, error=AGAIN)
    scene.ticks(60_000)
    scene.owned.ledger.in_doubt += early  # behind the newer one
    for _ in range(4):
        scene.time_passes()
    assert (scene.task.step, scene.task.delivery) not in (first, second)
    scene.reports(ReportKind.SUCCEEDED)
    for _ in range(3):
        scene.time_passes()
    assert scene.all_acted
