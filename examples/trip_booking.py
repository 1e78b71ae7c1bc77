"""A trip of flight, car and hotel: a port of Restate's sample of a saga (docs/sagas.md)."""

from pydantic import BaseModel

from symphainy import Context, Plan, PlanInput, Realm, Retry, Step, TerminalError

trips = Realm("trips")
FOREVER = Retry(attempts=1_000_000)


class Flight(BaseModel):
    flight_id: str
    passenger_name: str


class Car(BaseModel):
    pickup_location: str
    rental_date: str


class Hotel(BaseModel):
    arrival_date: str
    departure_date: str


class Trip(BaseModel):
    customer_id: str
    flight: Flight
    car: Car
    hotel: Hotel


class Booking(BaseModel):
    customer_id: str
    what: str


class Provider:
    """Stands for a company's API: a key books once, and is cancelled also if it never booked."""

    def __init__(self) -> None:
        self.booked: dict[str, Booking] = {}

    async def book(self, key: str, customer_id: str, what: str) -> Booking:
        return self.booked.setdefault(key, Booking(customer_id=customer_id, what=what))

    async def cancel(self, key: str) -> None:
        self.booked.pop(key, None)


airline, rental, hotels = Provider(), Provider(), Provider()


@trips.intent("trips.book_flight", retry=FOREVER)
async def book_flight(ctx: Context, trip: Trip) -> Booking:
    return await airline.book(ctx.idempotency_key, trip.customer_id, trip.flight.flight_id)


@book_flight.compensate(retry=FOREVER)
async def cancel_flight(ctx: Context, done: Booking | None) -> None:
    await airline.cancel(ctx.compensated_key)


@trips.intent("trips.book_car", retry=FOREVER)
async def book_car(ctx: Context, trip: Trip) -> Booking:
    return await rental.book(ctx.idempotency_key, trip.customer_id, trip.car.pickup_location)


@book_car.compensate(retry=FOREVER)
async def cancel_car(ctx: Context, done: Booking | None) -> None:
    await rental.cancel(ctx.compensated_key)


@trips.intent("trips.book_hotel", retry=FOREVER)
async def book_hotel(ctx: Context, trip: Trip) -> Booking:
    if trip.hotel.arrival_date.endswith("-12-24"):
        raise TerminalError("This hotel is fully booked.", code="fully_booked")
    return await hotels.book(ctx.idempotency_key, trip.customer_id, trip.hotel.arrival_date)


@book_hotel.compensate(retry=FOREVER)
async def cancel_hotel(ctx: Context, done: Booking | None) -> None:
    await hotels.cancel(ctx.compensated_key)


@trips.plan("trips.book")
def book_trip(trip: PlanInput[Trip]) -> Plan:
    flight = Step("flight", book_flight)
    car = Step("car", book_car, needs=[flight])
    hotel = Step("hotel", book_hotel, needs=[car])
    done = {"flight": flight.result, "car": car.result, "hotel": hotel.result}
    return Plan([flight, car, hotel], result=done)
