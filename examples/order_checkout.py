"""An order with stock, payment and dispatch: a port of DBOS's widget store (docs/sagas.md)."""

from enum import StrEnum

from pydantic import BaseModel

from symphainy import Context, Plan, PlanInput, Realm, Retry, Step, TerminalError

shop = Realm("shop")
PAID_FOR = Retry(attempts=1_000_000)  # an order that is paid is not given up


class Checkout(BaseModel):
    product_id: int


class Order(BaseModel):
    order_id: str


class Payment(BaseModel):
    status: str


class Status(StrEnum):
    PENDING = "pending"
    PAID = "paid"
    DISPATCHED = "dispatched"
    CANCELLED = "cancelled"


class Store:
    """Stands for the shop's tables; whatever is done twice under one key is done once."""

    def __init__(self) -> None:
        self.inventory = {1: 100}
        self.reserved: dict[str, int] = {}
        self.orders: dict[str, Status] = {}
        self.remaining: dict[str, int] = {}

    def reserve(self, key: str, product_id: int) -> None:
        if key in self.reserved:
            return
        if self.inventory[product_id] < 1:
            raise TerminalError("Nothing is left of it.", code="sold_out")
        self.inventory[product_id] -= 1
        self.reserved[key] = product_id

    def release(self, key: str) -> None:
        if key in self.reserved:
            self.inventory[self.reserved.pop(key)] += 1

    def mark(self, order_id: str, status: Status) -> None:
        self.orders[order_id] = status

    def progress(self, order_id: str, remaining: int) -> None:
        self.remaining[order_id] = remaining
        if remaining == 0:
            self.mark(order_id, Status.DISPATCHED)


store = Store()


@shop.intent("shop.create_order")
async def create_order(ctx: Context, checkout: Checkout) -> Order:
    store.orders.setdefault(ctx.idempotency_key, Status.PENDING)
    return Order(order_id=ctx.idempotency_key)


@create_order.compensate
async def cancel_order(ctx: Context, done: Order | None) -> None:
    store.mark(ctx.compensated_key, Status.CANCELLED)


@shop.intent("shop.reserve")
async def reserve(ctx: Context, checkout: Checkout) -> None:
    store.reserve(ctx.idempotency_key, checkout.product_id)


@reserve.compensate
async def release(ctx: Context, done: None) -> None:
    store.release(ctx.compensated_key)


@shop.intent("shop.await_payment", retry=Retry(attempts=1))
async def await_payment(ctx: Context, checkout: Checkout) -> Payment:
    payment = await ctx.signal("payment", Payment, timeout="60s")
    if payment.status != "paid":
        raise TerminalError(f"The payment is {payment.status}.", code="payment_failed")
    return payment


@shop.intent("shop.dispatch", retry=PAID_FOR)
async def dispatch(ctx: Context, order: Order) -> Order:
    await ctx.step("paid", store.mark, order.order_id, Status.PAID)
    for remaining in range(9, -1, -1):
        await ctx.sleep("1s")
        await ctx.step(f"progress_{remaining}", store.progress, order.order_id, remaining)
    return order


@shop.plan("shop.checkout")
def check_out(checkout: PlanInput[Checkout]) -> Plan:
    order = Step("order", create_order)
    stock = Step("stock", reserve, needs=[order])
    payment = Step("payment", await_payment, needs=[stock])
    return Plan([order, stock, payment, Step("dispatch", dispatch, order.result, needs=[payment])])
