"""What a harness leaves in its logs keeps every guarantee that the simulator's checkers know.

The same checkers judge simulated days and real brokers; so a harness that went its own way
somewhere (a task sent twice, an end too early, a position that passes something) is found here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from tests.unit.testing_kit.realms import Grant, Order, approve, media, orders, pay, pay_in_thread

from symphainy.testing import Harness
from symphainy_processors.owner.options import OwnerOptions
from symphainy_schemas.codec import decode
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import Intent, StepReport, Task
from symphainy_simulation.checking import History, Written, check_all

ORDER = Order(id="1")
Logs = dict[int, list[Written]]
Scenario = Callable[[Harness], Awaitable[object]]
R = TypeVar("R", Intent, StepReport, JournalRecord)


def written(values: Sequence[bytes], kind: type[R], told: Callable[[R], tuple[str, int]]) -> Logs:
    """Records as they stand in a topic; `told` says under which key, and when."""
    found = []
    for offset, value in enumerate(values):
        key, at = told(decode(value, kind))
        found.append(Written(0, offset, key.encode(), value, at))
    return {0: found}


def sent(tasks: Sequence[bytes], journal: Sequence[Written]) -> list[Written]:
    """Tasks, each sent when its dispatch stood."""
    found = []
    for offset, value in enumerate(tasks):
        task = decode(value, Task)
        at = journal[task.dispatched_at].at_ms
        found.append(Written(0, offset, task.execution_id.encode(), value, at))
    return found


def history_of(harness: Harness, *, quiet: bool) -> History:
    """All that the harness's logs hold; `quiet`: everything has ended."""
    log, options = harness._log, OwnerOptions()
    journal = written(log.journal, JournalRecord, lambda x: (x.execution_id, x.at))
    return History(
        partitions=1,
        intents=written(log.intents, Intent, lambda x: (x.session_id, x.created_at)),
        steps=written(log.steps, StepReport, lambda x: (x.execution_id, x.at)),
        journal=journal,
        tasks={f"tasks.{realm}": sent(tasks, journal[0]) for realm, tasks in log.tasks.items()},
        dedupe_window_ms=options.dedupe_window_ms,
        skew_ms=options.skew_ms,
        quiet=quiet,
    )


async def everyday(harness: Harness) -> None:
    run = await harness.submit(approve, ORDER)
    await harness.submit(approve, ORDER)
    await run.signal("granted", Grant(by="ann"))
    await harness.submit(approve, {"id": 1})
    await harness.submit(approve, ORDER, intent_id="once")
    await harness.submit(approve, ORDER, intent_id="once")
    await harness.submit("media.store", {"text": "x"}, tenant_id="other")
    await harness.run_to_end()


async def attempts(harness: Harness) -> None:
    harness.fail(approve, ValueError("no"), times=2)
    harness.fail(pay, ValueError("no"), step="charge", times=3)
    await harness.submit(approve, ORDER)
    await harness.submit(pay, ORDER)
    await harness.submit("orders.refuse", ORDER)
    await harness.run_to_end()


async def deaths(harness: Harness) -> None:
    for when in ("before", "ran", "recorded"):
        harness.crash(pay, step="charge", when=when)
        await harness.submit(pay, ORDER)
    left = await harness.submit("orders.hold", ORDER, until="started")
    harness.crash(pay_in_thread)
    await harness.submit(pay_in_thread, ORDER)
    await left.cancel("enough", until="started")
    await harness.skip("1d")
    left.cancelled()


async def hangs(harness: Harness) -> None:
    harness.hang(approve, times=2)
    harness.hang(pay, step="charge")
    harness.hang(pay_in_thread)
    runs = [await harness.submit(one, ORDER) for one in (approve, pay, pay_in_thread)]
    await runs[0].cancel("late")
    await harness.skip("1d")


async def many(harness: Harness) -> None:
    for number in range(60):
        await harness.submit("orders.race", Order(id=str(number)), until="accepted")
    await harness.run_to_end()


@pytest.mark.parametrize("scenario", [everyday, attempts, deaths, hangs, many])
async def test_every_guarantee_is_kept(scenario: Scenario) -> None:
    async with Harness(orders, media) as harness:
        await scenario(harness)
        await harness.skip("10s")
        violations = check_all(history_of(harness, quiet=True))
    assert violations == []


async def test_the_checkers_see_what_is_broken_here() -> None:
    """Else an empty list of violations would say nothing of this history."""
    async with Harness(orders, media) as harness:
        await attempts(harness)
        harness._log.tasks["orders"].append(harness._log.tasks["orders"][0])
        del harness._log.steps[3]
        assert check_all(history_of(harness, quiet=False))
