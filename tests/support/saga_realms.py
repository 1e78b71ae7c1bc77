"""Two small realms whose handlers are the steps of plans."""

from __future__ import annotations

from pydantic import BaseModel

from symphainy import Context, Realm, TerminalError

stock = Realm("stock")
bank = Realm("bank")
PRICE = 40
GOOD_CARD = "tok-good"


class Order(BaseModel):
    """What is to be set aside."""

    item: str


class Charge(BaseModel):
    """What is to be paid, and with which card."""

    card: str
    amount: int


class Parcel(BaseModel):
    """What is to be sent, and that it is paid."""

    hold: str
    receipt: str


@stock.intent("stock.reserve")
async def reserve(ctx: Context, payload: Order) -> dict[str, str | int]:
    """Set an item aside."""
    return {"hold": f"hold of {payload.item}", "price": PRICE}


@stock.intent("stock.ship")
async def ship(ctx: Context, payload: Parcel) -> dict[str, str]:
    """Send what was set aside and paid."""
    return {"sent": payload.hold, "for": payload.receipt}


@stock.intent("stock.hold")
async def hold(ctx: Context, payload: Order) -> dict[str, str]:
    """What can be undone."""
    return {"held": payload.item}


@hold.compensate
async def free(ctx: Context, done: dict[str, str] | None) -> None:
    """Knows what was held."""
    assert done == {"held": "lamp"}


@stock.intent("stock.inspect")
async def inspect(ctx: Context, payload: Order) -> None:
    """Waits until somebody has looked at the item."""
    await ctx.signal("inspected")


@bank.intent("bank.charge")
async def charge(ctx: Context, payload: Charge) -> dict[str, str]:
    """Take the money, of one card."""
    if payload.card != GOOD_CARD:
        raise TerminalError(f"{payload.card} was declined.", code="card_declined")
    return {"receipt": f"{payload.amount} paid"}
