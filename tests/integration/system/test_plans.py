"""Plans over several realms, on real parts: each realm has a worker, one of them plans only.

- Steps get what the plan says, and the plan's result is the execution's.
- When a step fails for good, what was done is undone.
"""

from __future__ import annotations

from tests.integration.system.test_waiting import begin, in_status
from tests.support.system import System


def test_a_trip_is_booked_or_undone(system: System) -> None:
    system.start("examples.travel_realms:travel")
    system.worker("examples.travel_realms:air", "air")
    system.worker("examples.travel_realms:solution", "solution")
    booked = begin(system, "solution.book_trip", {"city": "Rome", "days": 2})
    undone = begin(system, "solution.book_trip", {"city": "Atlantis", "days": 2})
    found = in_status(system, booked, "succeeded")
    assert found["result"] == {"hotel": {"ref": "hotel-Rome-2"}, "flight": {"ref": "flight-Rome"}}
    found = in_status(system, undone, "compensated")
    assert found["error"]["code"] == "no_such_flight"
    steps = {one["step"]: one["status"] for one in found["steps"]}
    assert steps["hotel"] == "succeeded"
    assert steps["compensate:hotel"] == "succeeded"
    assert (steps["cover"], steps["flight"]) == ("skipped", "failed")
