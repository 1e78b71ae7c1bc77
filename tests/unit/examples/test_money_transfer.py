"""examples/money_transfer.py does what Temporal's project does, and holds what cannot be refunded.

- The target's bank refuses: the source gets its money back, once.
- A posting of which nobody knows is looked up, and reversed if it is there.
- A refund that fails three times waits for an operator.
"""

from __future__ import annotations

import pytest
from examples import money_transfer
from examples.money_transfer import (
    Ledger,
    Transfer,
    bank,
    deposit,
    refund,
    transfer,
    withdraw,
)

from symphainy import TerminalError
from symphainy.testing import Harness

ORDER = Transfer(source_account="85-150", target_account="43-812", amount=250)
BEFORE, AFTER = [2000, 0], [1750, 250]


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A bank where nothing has been posted."""
    fresh = Ledger()
    monkeypatch.setattr(money_transfer, "ledger", fresh)
    return fresh


def balances(ledger: Ledger) -> list[int]:
    """Of the source and of the target."""
    return list(ledger.balances.values())


async def test_money_is_transferred(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        run = await harness.submit(transfer, ORDER)
        run.succeeded({"transaction_ids": ["W-1", "D-2"]})
        assert balances(ledger) == AFTER


async def test_a_repeat_of_the_order_moves_nothing(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        first = await harness.submit(transfer, ORDER, intent_id="pay-invoice-701")
        again = await harness.submit(transfer, ORDER, intent_id="pay-invoice-701")
        assert again.execution_id == first.execution_id
        assert balances(ledger) == AFTER


async def test_too_little_money_is_said_at_once(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        run = await harness.submit(transfer, ORDER.model_copy(update={"amount": 2001}))
        run.failed("insufficient_funds")
        assert run.attempts_of("withdraw") == 1
        assert balances(ledger) == BEFORE


async def test_an_account_that_is_not_there_gives_the_money_back(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        wrong = ORDER.model_copy(update={"target_account": "0"})
        run = await harness.submit(transfer, wrong)
        run.compensated("withdraw")
        assert run.error is not None
        assert run.error.code == "invalid_account"
        assert run.attempts_of("deposit") == 1
        assert balances(ledger) == BEFORE


async def test_a_deposit_is_tried_three_times_and_then_refunded(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.fail(deposit, ConnectionError("down"), times=3)
        run = await harness.submit(transfer, ORDER)
        run.compensated("withdraw")
        assert run.attempts_of("deposit") == 3
        assert balances(ledger) == BEFORE


async def test_a_withdrawal_is_tried_three_times(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.fail(withdraw, ConnectionError("down"), times=3)
        (await harness.submit(transfer, ORDER)).failed("handler_error")
        assert balances(ledger) == BEFORE


async def test_a_withdrawal_of_which_nobody_knows_is_refunded_if_it_was(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.hang(withdraw, times=3, when="ran")  # the money is gone, and nobody says so
        run = await harness.submit(transfer, ORDER)
        run.compensated("withdraw")
        assert run.error is not None
        assert run.error.code == "timeout"
        assert balances(ledger) == BEFORE


async def test_a_deposit_of_which_nobody_knows_is_not_paid_twice(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.hang(deposit, times=3, when="ran")
        run = await harness.submit(transfer, ORDER)
        run.compensated("deposit", "withdraw")
        assert balances(ledger) == BEFORE


async def test_what_was_never_posted_is_not_reversed(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.hang(deposit, times=3)
        run = await harness.submit(transfer, ORDER)
        run.compensated("deposit", "withdraw")
        assert balances(ledger) == BEFORE


async def test_a_refund_that_fails_waits_for_an_operator(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.fail(deposit, TerminalError("closed", code="invalid_account"))
        harness.fail(refund, ConnectionError("down"), times=3)
        run = await harness.submit(transfer, ORDER)
        run.stuck("handler_error", step="compensate:withdraw")
        assert run.attempts_of("compensate:withdraw") == 3
        assert balances(ledger) == [1750, 0]
        await run.retry("compensate:withdraw", reason="the bank is up again")
        run.compensated("withdraw")
        assert balances(ledger) == BEFORE


async def test_what_the_target_has_spent_waits_for_an_operator(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.hang(deposit, times=3, when="ran")
        run = await harness.submit(transfer, ORDER, until="started")
        await harness.skip("1s")
        ledger.post("spent", "43-812", -250)
        await run.advance()
        run.stuck("insufficient_funds", step="compensate:deposit")
        assert run.undone == ()
        ledger.post("topped up", "43-812", 250)
        await run.retry("compensate:deposit")
        run.compensated("deposit", "withdraw")


async def test_a_worker_that_dies_in_a_refund_refunds_once(ledger: Ledger) -> None:
    async with Harness(bank) as harness:
        harness.fail(deposit, TerminalError("closed"))
        harness.crash(refund)
        (await harness.submit(transfer, ORDER)).compensated("withdraw")
        assert balances(ledger) == BEFORE
