"""The realm that is measured: one intent, one step, no work."""

from __future__ import annotations

from pydantic import BaseModel

from symphainy import Context, Outcome, Realm

realm = Realm("bench")


class Item(BaseModel):
    """A line of an order."""

    sku: str
    quantity: int
    price: int


class Order(BaseModel):
    """A small order."""

    run_id: str
    customer: str
    order: str
    items: list[Item]
    note: str


@realm.intent("bench.one")
async def one(ctx: Context, order: Order) -> Outcome:
    """One step."""
    return Outcome(result={"ok": True, "step": 1})
