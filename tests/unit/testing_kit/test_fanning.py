"""Steps that are run for each element of a list, in the harness.

- Each element is given to the handler once, side by side; who needs them gets their results in the
  order of the list, however they end.
- One that fails is undone with what was done of the others, and before what they needed.
- An operator has one element tried again.
- The elements keep to `at_most`.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from symphainy import EACH, Context, Plan, PlanInput, Realm, Step, TerminalError
from symphainy.testing import Harness


class Item(BaseModel):
    name: str
    amount: int


class Order(BaseModel):
    customer: str
    items: list[Item]


class Charge(BaseModel):
    item: Item
    customer: str


class Receipt(BaseModel):
    ref: str
    amount: int


class Receipts(BaseModel):
    receipts: list[Receipt]


class Found(BaseModel):
    items: list[Item]


shop = Realm("shop")
side_by_side, most = 0, 0


@shop.intent("shop.find")
async def find(ctx: Context, order: Order) -> Found:
    return Found(items=order.items)


@find.compensate
async def unfind(ctx: Context, done: Found | None) -> None:
    pass


@shop.intent("shop.charge")
async def charge(ctx: Context, given: Charge) -> Receipt:
    global side_by_side, most
    side_by_side += 1
    most = max(most, side_by_side)
    try:
        await asyncio.sleep(0.01)
    finally:  # where another element has failed, it is cancelled
        side_by_side -= 1
    if given.item.amount > 100:
        raise TerminalError("Too much.", code="declined")
    return Receipt(ref=f"{given.customer}-{given.item.name}", amount=given.item.amount)


@charge.compensate
async def refund(ctx: Context, done: Receipt | None) -> None:
    pass


@shop.intent("shop.bill")
async def bill(ctx: Context, given: Receipts) -> dict[str, int]:
    return {"total": sum(one.amount for one in given.receipts)}


@shop.plan("shop.order")
def order(order: PlanInput[Order]) -> Plan:
    found = Step("find", find)
    each = {"item": EACH, "customer": order["customer"]}
    charged = Step("charge", charge, each, for_each=found.result["items"])
    billed = Step("bill", bill, {"receipts": charged.result})
    return Plan([found, charged, billed], result={"all": charged.result, "bill": billed.result})


@shop.plan("shop.careful", recovery="hold_for_operator")
def careful(order: PlanInput[Order]) -> Plan:
    each = {"item": EACH, "customer": order["customer"]}
    return Plan([Step("charge", charge, each, for_each=order["items"], at_most=2)])


def ordered(*amounts: int) -> Order:
    items = [Item(name=f"i{number}", amount=amount) for number, amount in enumerate(amounts)]
    return Order(customer="ann", items=items)


async def test_each_element_is_carried_out_and_joined_in_order() -> None:
    async with Harness(shop) as harness:
        harness.fail(charge, ConnectionError("down"))  # one of them is tried again, and is late
        run = await harness.submit(order, ordered(3, 2, 1))
        refs = [{"ref": f"ann-i{n}", "amount": 3 - n} for n in range(3)]
        run.succeeded({"all": refs, "bill": {"total": 6}})
        assert run.results["charge[1]"] == refs[1]
        assert sum(run.attempts_of(f"charge[{number}]") for number in range(3)) == 4


async def test_an_empty_list() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(order, ordered())
        run.succeeded({"all": [], "bill": {"total": 0}})
        (await harness.submit(careful, ordered())).succeeded([])


async def test_what_was_done_of_them_is_undone() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(order, ordered(1, 200, 3))
        run.compensated()
        assert set(run.undone[:2]) == {"charge[0]", "charge[2]"}
        assert run.undone[2:] == ("find",)
        assert run.error is not None
        assert run.error.code == "declined"


async def test_one_of_them_is_tried_again_with_another_input() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(careful, ordered(1, 200, 3))
        run.stuck("declined", step="charge[1]")
        item = {"name": "i1", "amount": 2}
        await run.retry("charge[1]", input={"item": item, "customer": "bob"})
        run.succeeded()
        assert [one["ref"] for one in run.result] == ["ann-i0", "bob-i1", "ann-i2"]


async def test_they_keep_to_their_bound() -> None:
    global most
    most = 0
    async with Harness(shop) as harness:
        (await harness.submit(careful, ordered(*range(7)))).succeeded()
    assert most == 2
