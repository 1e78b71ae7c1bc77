"""Money from one account to another: a port of Temporal's tutorial project (docs/sagas.md)."""

from pydantic import BaseModel, PositiveInt

from symphainy import Context, Plan, PlanInput, Realm, Retry, Step, TerminalError

bank = Realm("bank")
RETRY = Retry(attempts=3, maximum="2s")


class Transfer(BaseModel):
    source_account: str
    target_account: str
    amount: PositiveInt


class Posting(BaseModel):
    transaction_id: str
    account: str
    amount: int


class Ledger:
    """Stands for the bank's API: what is posted again under the same key is posted once."""

    def __init__(self) -> None:
        self.balances = {"85-150": 2000, "43-812": 0}
        self.postings: dict[str, Posting] = {}

    def post(self, key: str, account: str, amount: int) -> Posting:
        if key in self.postings:
            return self.postings[key]
        if account not in self.balances:
            raise TerminalError(f"There is no account {account}.", code="invalid_account")
        if self.balances[account] + amount < 0:
            raise TerminalError(f"{account} has too little money.", code="insufficient_funds")
        self.balances[account] += amount
        number = f"{'D' if amount > 0 else 'W'}-{len(self.postings) + 1}"
        return self.postings.setdefault(
            key, Posting(transaction_id=number, account=account, amount=amount)
        )

    def reverse(self, posted: str, key: str) -> None:
        posting = self.postings.get(posted)
        if posting is not None:
            self.post(key, posting.account, -posting.amount)


ledger = Ledger()


@bank.intent("bank.withdraw", retry=RETRY, timeout="5s")
def withdraw(ctx: Context, order: Transfer) -> Posting:
    return ledger.post(ctx.idempotency_key, order.source_account, -order.amount)


@withdraw.compensate(retry=RETRY, timeout="5s")
def refund(ctx: Context, done: Posting | None) -> None:
    ledger.reverse(ctx.compensated_key, ctx.idempotency_key)


@bank.intent("bank.deposit", retry=RETRY, timeout="5s")
def deposit(ctx: Context, order: Transfer) -> Posting:
    return ledger.post(ctx.idempotency_key, order.target_account, order.amount)


@deposit.compensate(retry=RETRY, timeout="5s")
def take_back(ctx: Context, done: Posting | None) -> None:
    ledger.reverse(ctx.compensated_key, ctx.idempotency_key)


@bank.plan("bank.transfer")
def transfer(order: PlanInput[Transfer]) -> Plan:
    withdrawal = Step("withdraw", withdraw)
    deposited = Step("deposit", deposit, needs=[withdrawal])
    ids = [step.result["transaction_id"] for step in (withdrawal, deposited)]
    return Plan([withdrawal, deposited], result={"transaction_ids": ids})
