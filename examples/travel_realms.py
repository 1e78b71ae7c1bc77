"""A trip of several bookings, which are undone if one of them cannot be had: docs/handlers.md."""

from pydantic import BaseModel

from symphainy import (
    EACH,
    Context,
    Event,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Retry,
    Step,
    TerminalError,
)

travel = Realm("travel")
air = Realm("air")
solution = Realm("solution")


class Trip(BaseModel):
    city: str
    days: int
    insured: bool = False


class Room(BaseModel):
    city: str
    nights: int


class Tour(BaseModel):
    stays: list[Room]
    home: str


class Booking(BaseModel):
    ref: str


class Ticket(BaseModel):
    to: str
    hotel: str


@travel.intent("travel.book_hotel")
async def book_hotel(ctx: Context, room: Room) -> Booking:
    return Booking(ref=f"hotel-{room.city}-{room.nights}")


@book_hotel.compensate(retry=Retry(attempts=20, maximum="10m"), timeout="1m")
async def cancel_hotel(ctx: Context, done: Booking | None) -> Outcome:
    ref = done.ref if done else await ctx.step("find", find_booking, ctx.compensated_key)
    return Outcome(events=[Event("hotel.cancelled", {"ref": ref})])


async def find_booking(key: str) -> str | None:
    return None  # the hotel knows of no booking with this key: there is nothing to cancel


@travel.intent("travel.insure")
async def insure(ctx: Context, trip: Trip) -> Booking:
    return Booking(ref=f"insured-{trip.city}")


@air.intent("air.book_flight")
async def book_flight(ctx: Context, ticket: Ticket) -> Booking:
    if ticket.to == "Atlantis":
        raise TerminalError("No airline flies to Atlantis.", code="no_such_flight")
    return Booking(ref=f"flight-{ticket.to}")


@book_flight.compensate
async def cancel_flight(ctx: Context, done: Booking | None) -> None: ...


@solution.plan("solution.book_trip", deadline="1h")
def book_trip(trip: PlanInput[Trip]) -> Plan:
    hotel = Step("hotel", book_hotel, {"city": trip["city"], "nights": trip["days"]})
    cover = Step("cover", insure, when=trip["insured"].is_(True))
    flight = Step(
        "flight",
        book_flight,
        {"to": trip["city"], "hotel": hotel.result["ref"]},
        needs=[cover],
    )
    return Plan([hotel, cover, flight], result={"hotel": hotel.result, "flight": flight.result})


@solution.plan("solution.book_tour", deadline="1h")
def book_tour(tour: PlanInput[Tour]) -> Plan:
    hotels = Step("hotel", book_hotel, for_each=tour["stays"], at_most=10)
    back = {"to": tour["home"], "hotel": EACH["ref"]}
    flights = Step("flight", book_flight, back, for_each=hotels.result)
    return Plan([hotels, flights], result={"hotels": hotels.result, "flights": flights.result})
