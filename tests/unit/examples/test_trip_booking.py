"""examples/trip_booking.py does what Restate's sample does, and says when it cannot.

- Flight, car and hotel are booked one after the other; what was booked is cancelled in reverse.
- A provider that is down is asked again for as long as it takes, to book and to cancel.
- A booking of which nobody knows is cancelled under its key.
"""

from __future__ import annotations

import pytest
from examples import trip_booking
from examples.trip_booking import (
    Booking,
    Car,
    Flight,
    Hotel,
    Provider,
    Trip,
    book_car,
    book_flight,
    book_hotel,
    book_trip,
    cancel_car,
    trips,
)

from symphainy import TerminalError
from symphainy.testing import Harness

TRIP = Trip(
    customer_id="ann",
    flight=Flight(flight_id="F1", passenger_name="Ann"),
    car=Car(pickup_location="Rome", rental_date="2026-05-01"),
    hotel=Hotel(arrival_date="2026-05-01", departure_date="2026-05-08"),
)
AT_CHRISTMAS = TRIP.model_copy(
    update={"hotel": Hotel(arrival_date="2026-12-24", departure_date="2026-12-27")}
)
REFUSED = TerminalError("Nothing is free.", code="nothing_free")
PROVIDERS = ("airline", "rental", "hotels")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers who know of nothing yet."""
    for name in PROVIDERS:
        monkeypatch.setattr(trip_booking, name, Provider())


def booked() -> list[Booking]:
    """What the providers have booked."""
    return [one for name in PROVIDERS for one in getattr(trip_booking, name).booked.values()]


async def test_a_trip_is_booked() -> None:
    async with Harness(trips) as harness:
        run = await harness.submit(book_trip, TRIP)
        run.succeeded(
            {
                "flight": {"customer_id": "ann", "what": "F1"},
                "car": {"customer_id": "ann", "what": "Rome"},
                "hotel": {"customer_id": "ann", "what": "2026-05-01"},
            }
        )
        assert list(run.results) == ["flight", "car", "hotel"]
        assert len(booked()) == 3


async def test_without_a_hotel_the_rest_is_cancelled_in_reverse() -> None:
    async with Harness(trips) as harness:
        run = await harness.submit(book_trip, AT_CHRISTMAS)
        run.compensated("car", "flight")
        assert run.error is not None
        assert run.error.code == "fully_booked"
        assert booked() == []


async def test_without_a_car_the_flight_is_cancelled() -> None:
    async with Harness(trips) as harness:
        harness.fail(book_car, REFUSED)
        (await harness.submit(book_trip, TRIP)).compensated("flight")
        assert booked() == []


async def test_without_a_flight_there_is_nothing_to_cancel() -> None:
    async with Harness(trips) as harness:
        harness.fail(book_flight, REFUSED)
        run = await harness.submit(book_trip, TRIP)
        run.failed("nothing_free")
        assert run.undone == ()


async def test_providers_that_are_down_are_asked_again() -> None:
    async with Harness(trips) as harness:
        harness.fail(book_car, ConnectionError("down"), times=30)
        harness.fail(cancel_car, ConnectionError("down"), times=30)
        run = await harness.submit(book_trip, AT_CHRISTMAS)
        run.compensated("car", "flight")
        assert (run.attempts_of("car"), run.attempts_of("compensate:car")) == (31, 31)


async def test_a_booking_of_which_nobody_knows_is_cancelled_too() -> None:
    async with Harness(trips) as harness:
        harness.crash(book_hotel, when="ran")  # it is booked, and the worker dies before it says so
        harness.fail(book_hotel, REFUSED, call=2)
        run = await harness.submit(book_trip, TRIP)
        run.compensated("hotel", "car", "flight")
        assert booked() == []


async def test_what_no_provider_cancels_waits_for_an_operator() -> None:
    async with Harness(trips) as harness:
        harness.fail(cancel_car, REFUSED)
        run = await harness.submit(book_trip, AT_CHRISTMAS)
        run.stuck("nothing_free", step="compensate:car")
        assert [one.what for one in booked()] == ["F1", "Rome"]
        await run.retry("compensate:car", reason="called them")
        run.compensated("car", "flight")
        assert booked() == []
