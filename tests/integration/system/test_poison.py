"""A handler that ends its worker, on real parts.

- After a few workers the step has failed for good, with what happened; nothing dies any more.
- What ran beside it succeeds.
"""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from tests.integration.system.test_waiting import begin, in_status
from tests.support.system import System, eventually, isolated

from symphainy_processors.saga.attempts import MOST_LOST
from symphainy_runtime.local import Death, Endpoints

# Each dead worker is missed after its session of 10 s, and another started.
GIVEN_UP_S = 240.0


@pytest.mark.timeout(360)
def test_a_handler_that_ends_its_worker_is_given_up(running: Endpoints, tmp_path: Path) -> None:
    deaths: list[Death] = []

    def again(death: Death) -> None:
        deaths.append(death)
        Thread(target=one.again, args=("worker",)).start()

    one = System(isolated(running, tmp_path), on_death=again)
    try:
        one.start("tests.support.work_realm:realm")
        poison = begin(one, "work.poison", {"succeed_at": 1})
        beside = [begin(one, "work.add", {"numbers": [1, n]}) for n in range(5)]

        def given_up() -> bool:
            events = one.http.get(f"/v1/executions/{poison}/events").json()["events"]
            codes = [x["data"]["error"]["code"] for x in events if x["type"] == "step_failed"]
            return codes == ["poison_task"]

        eventually(given_up, "the step is given up", GIVEN_UP_S)
        assert len(deaths) == MOST_LOST
        for execution in (*beside, begin(one, "work.add", {"numbers": [3]})):
            in_status(one, execution, "succeeded")
    finally:
        one.stop()
