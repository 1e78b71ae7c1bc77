"""Plans and compensations in the harness, on examples/travel_realms.py, which docs show.

- Steps of several realms begin when what they need has ended, and get what the plan says.
- What was done, or may have been, is undone in reverse when a step fails for good.
- What cannot be undone waits for an operator, who retries it.
"""

from __future__ import annotations

import time

import pytest
from examples.travel_realms import (
    Trip,
    air,
    book_flight,
    book_hotel,
    book_tour,
    book_trip,
    cancel_hotel,
    solution,
    travel,
)

from symphainy import Context, Plan, PlanInput, Realm, Step, TerminalError
from symphainy.testing import Harness, Recording, Refused, replay

ROME = Trip(city="Rome", days=3)
NOWHERE = Trip(city="Atlantis", days=3)


def trips() -> Harness:
    return Harness(travel, air, solution)


async def test_a_trip_is_booked() -> None:
    async with trips() as harness:
        run = await harness.submit(book_trip, ROME)
        run.succeeded({"hotel": {"ref": "hotel-Rome-3"}, "flight": {"ref": "flight-Rome"}})
        assert run.skipped == ("cover",)


async def test_what_was_done_is_undone_when_a_step_fails_for_good() -> None:
    async with trips() as harness:
        run = await harness.submit(book_trip, NOWHERE)
        run.compensated("hotel")
        assert run.error is not None
        assert run.error.code == "no_such_flight"
        assert [one.data for one in run.emitted] == [{"ref": "hotel-Atlantis-3"}]


async def test_a_compensation_is_told_that_nobody_knows_what_was_done() -> None:
    async with trips() as harness:
        harness.crash(book_hotel)  # whether the hotel has booked is unknown
        harness.fail(book_hotel, TerminalError("full", code="full"), call=2)
        run = await harness.submit(book_trip, ROME)
        run.compensated("hotel")
        assert [one.data for one in run.emitted] == [{"ref": None}]


async def test_what_cannot_be_undone_waits_for_an_operator() -> None:
    async with trips() as harness:
        harness.fail(book_flight, TerminalError("full", code="full"))
        harness.fail(cancel_hotel, ConnectionError("down"), times=20)
        run = await harness.submit(book_trip, ROME)
        run.stuck("handler_error", step="compensate:hotel")
        assert run.attempts_of("compensate:hotel") == 20
        await run.retry("compensate:hotel", reason="the hotel's system is up again")
        run.compensated("hotel")


async def test_a_tour_is_booked_stay_by_stay_and_undone_as_a_whole() -> None:
    stays = [{"city": city, "nights": 1} for city in ("Rome", "Oslo", "Bern")]
    async with trips() as harness:
        run = await harness.submit(book_tour, {"stays": stays, "home": "Ulm"})
        hotels = [{"ref": f"hotel-{city}-1"} for city in ("Rome", "Oslo", "Bern")]
        run.succeeded({"hotels": hotels, "flights": [{"ref": "flight-Ulm"}] * 3})
        run = await harness.submit(book_tour, {"stays": stays, "home": "Atlantis"})
        run.compensated()
        assert sorted(run.undone) == ["hotel[0]", "hotel[1]", "hotel[2]"]


# --- beyond what the docs show --------------------------------------------------------------


async def test_steps_get_the_payload_and_results() -> None:
    async with trips() as harness:
        run = await harness.submit("solution.book_trip", Trip(city="Oslo", days=9, insured=True))
        run.succeeded()
        assert run.results == {
            "hotel": {"ref": "hotel-Oslo-9"},
            "cover": {"ref": "insured-Oslo"},
            "flight": {"ref": "flight-Oslo"},
        }
        assert run.skipped == run.undone == ()
        assert run.attempts == 1


async def test_a_trip_without_a_city_is_rejected() -> None:
    async with trips() as harness:
        (await harness.submit(book_trip, {"days": 1})).rejected("contract_violation")


async def test_a_plan_whose_realm_is_not_there_is_rejected() -> None:
    async with Harness(travel, solution) as harness:
        (await harness.submit(book_trip, ROME)).rejected("capability_not_found")


async def test_an_operator_has_all_undone() -> None:
    async with Harness(travel, air, held) as harness:
        harness.fail(book_flight, TerminalError("full", code="full"))
        run = await harness.submit(careful, ROME)
        run.stuck("full", step="flight")
        with pytest.raises(Refused, match="not failed"):
            await run.retry("hotel")
        await run.compensate("the customer gave up")
        run.compensated("hotel")


async def test_an_operator_retries_a_step_with_another_input() -> None:
    async with Harness(travel, air, held) as harness:
        run = await harness.submit(careful, NOWHERE)
        run.stuck("no_such_flight", step="flight")
        await run.retry("flight", input={"to": "Athens", "hotel": "h"})
        run.succeeded()
        assert run.results["flight"] == {"ref": "flight-Athens"}


async def test_a_worker_dies_in_a_compensation() -> None:
    async with trips() as harness:
        harness.crash(book_hotel)
        harness.fail(book_hotel, TerminalError("full"), call=2)
        harness.crash(cancel_hotel, step="find", when="recorded")
        run = await harness.submit(book_trip, ROME)
        run.compensated("hotel")
        assert run.attempts_of("compensate:hotel") == 1
        assert len(run.events_of("step_handed_back")) == 2


async def test_a_compensation_that_hangs_is_ended_by_its_own_limit() -> None:
    async with trips() as harness:
        harness.hang("compensate:travel.book_hotel")
        run = await harness.submit(book_trip, NOWHERE)
        run.compensated("hotel")
        limits = [one.at - run.journal[0].at for one in run.events_of("step_failed")]
        assert limits == [0, 60_000]


async def test_a_fault_of_a_handler_does_not_strike_its_compensation() -> None:
    async with trips() as harness:
        harness.fail(book_hotel, ValueError("busy"))
        run = await harness.submit(book_trip, NOWHERE)
        run.compensated("hotel")
        assert (run.attempts_of("hotel"), run.attempts_of("compensate:hotel")) == (2, 1)


async def test_a_compensation_that_nobody_declares_cannot_be_struck() -> None:
    async with trips() as harness:
        with pytest.raises(ValueError, match=r"compensate:travel\.insure"):
            harness.fail("compensate:travel.insure", ValueError())
        with pytest.raises(ValueError, match=r"solution\.book_trip"):
            harness.fail("solution.book_trip", ValueError())


async def test_a_handler_with_a_compensation_is_undone_alone() -> None:
    async with trips() as harness:
        harness.crash(book_hotel, call=1)
        harness.fail(book_hotel, TerminalError("full"), call=2)
        run = await harness.submit(book_hotel, {"city": "Rome", "nights": 1})
        run.compensated("main")
        run = await harness.submit(book_hotel, {"city": "Rome", "nights": 1})
        run.succeeded({"ref": "hotel-Rome-1"})
        assert run.undone == ()


held = Realm("held")


@held.plan("held.careful", recovery="hold_for_operator")
def careful(trip: PlanInput[Trip]) -> Plan:
    hotel = Step("hotel", book_hotel, {"city": trip["city"], "nights": 1})
    flight = Step("flight", book_flight, {"to": trip["city"], "hotel": hotel.result["ref"]})
    return Plan([flight, hotel])


waits = Realm("waits")


@waits.intent("waits.pause")
async def pause(ctx: Context, trip: Trip) -> dict[str, int]:
    await ctx.sleep("1h" if ctx.step_name == "first" else "3h")
    return {"days": trip.days}


@pause.compensate
async def unpause(ctx: Context, done: dict[str, int] | None) -> None:
    await ctx.sleep("1d")


@waits.intent("waits.end")
async def end(ctx: Context, trip: Trip) -> None:
    raise TerminalError("It ends here.")


@waits.plan("cross_realm.pauses")
def pauses(trip: PlanInput[Trip]) -> Plan:
    first, second = Step("first", pause), Step("second", pause, trip)
    return Plan([first, second, Step("end", end, needs=[first, "second"])])


async def test_steps_wait_side_by_side_and_compensations_wait_too() -> None:
    async with Harness(waits) as harness:
        run = await harness.submit(pauses, ROME)
        run.waiting("sleep:1")
        await harness.skip("1h")
        assert list(run.results) == ["first"]
        run.waiting("sleep:1")
        await harness.skip("2h")
        assert run.status == "compensating"
        run.waiting("sleep:1")
        await harness.run_to_end()
        run.compensated("first", "second")  # side by side, as they were done
        assert run.journal[-1].at - run.journal[0].at == 27 * 3_600_000


async def test_assertions_tell_what_happened_instead() -> None:
    async with trips() as harness:
        run = await harness.submit(book_trip, NOWHERE)
        with pytest.raises(AssertionError, match=r"that flight were undone.*it was hotel"):
            run.compensated("flight")
        with pytest.raises(AssertionError, match="Expected stuck"):
            run.stuck()
        assert "step_skipped          cover" in run.story()
        assert "flight: attempt 1: no_such_flight" in run.story()


async def test_a_recording_is_of_one_handler() -> None:
    async with trips() as harness:
        run = await harness.submit(book_trip, ROME)
        with pytest.raises(ValueError, match=r"several steps \(flight, hotel\)"):
            Recording.of(run)
        alone = await harness.submit(book_hotel, {"city": "Rome", "nights": 1})
        (await replay(travel, Recording.of(alone))).compatible()


def test_what_a_test_of_a_plan_costs() -> None:
    """No bound, as for all others: the figure depends on the machine."""
    import asyncio

    begun = time.process_time()
    asyncio.run(test_what_was_done_is_undone_when_a_step_fails_for_good())
    print(f"\n  one test of a plan: {1_000 * (time.process_time() - begun):.1f} ms of CPU")
