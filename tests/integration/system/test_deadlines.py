"""Deadlines of whole executions, on real parts.

- What has not ended in time fails, says so, and nothing more of it begins.
- What ends in time knows nothing of it.
- A deadline outlives the owner that it was declared to.
"""

from __future__ import annotations

from tests.integration.system.test_cancelling import kinds
from tests.integration.system.test_waiting import begin, in_status
from tests.support.system import System


def test_what_waits_for_too_long_fails(whole: System) -> None:
    execution = begin(whole, "work.dated", {"ms": 3_600_000})
    found = in_status(whole, execution, "failed")
    assert found["error"]["code"] == "deadline_exceeded"
    assert "1.5 s" in found["error"]["message"]
    assert kinds(whole, execution)[-3:] == ["deadline_passed", "step_cancelled", "execution_failed"]


def test_what_ends_in_time_knows_nothing_of_it(whole: System) -> None:
    execution = begin(whole, "work.dated", {"ms": 1})
    in_status(whole, execution, "succeeded")
    assert "deadline_passed" not in kinds(whole, execution)


def test_a_deadline_outlives_its_owner(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.dated", {"ms": 3_600_000})
    in_status(system, execution, "waiting")
    system.supervisor.kill("owner")
    system.supervisor.restart("owner")
    assert in_status(system, execution, "failed")["error"]["code"] == "deadline_exceeded"
