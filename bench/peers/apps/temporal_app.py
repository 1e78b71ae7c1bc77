"""The flows as Temporal workflows and activities, and the worker that runs them."""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return"
# Temporal's SDK is in the peers' own environment, which the project's type check does not see.

import asyncio
import os
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from bench.peers.steps import TIMER_SLEEP_S, Json, effect, result, slow_step

LIMIT: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=10)}


@activity.defn
async def step(body: Json, n: int) -> Json:
    """A step that does nothing."""
    return result(n)


@activity.defn
async def failing(body: Json, n: int) -> Json:
    """A step that fails for good."""
    raise ApplicationError("step refused", non_retryable=True)


@activity.defn
async def durable_slow_step(run_id: str, n: int) -> Json:
    """A step with a side effect."""
    return await slow_step(run_id, n)


@workflow.defn(name="one")
class One:
    """One step."""

    @workflow.run
    async def run(self, body: Json) -> Json:
        """The workflow."""
        return await workflow.execute_activity(step, args=[body, 1], **LIMIT)


@workflow.defn(name="saga")
class Saga:
    """Three steps."""

    @workflow.run
    async def run(self, body: Json) -> Json:
        """The workflow."""
        await workflow.execute_activity(step, args=[body, 1], **LIMIT)
        await workflow.execute_activity(step, args=[body, 2], **LIMIT)
        return await workflow.execute_activity(step, args=[body, 3], **LIMIT)


@workflow.defn(name="comp")
class Comp:
    """Three steps, the last fails, the others are undone in reverse order."""

    @workflow.run
    async def run(self, body: Json) -> Json:
        """The workflow."""
        undo = []
        try:
            await workflow.execute_activity(step, args=[body, 1], **LIMIT)
            undo.append(1)
            await workflow.execute_activity(step, args=[body, 2], **LIMIT)
            undo.append(2)
            return await workflow.execute_activity(failing, args=[body, 3], **LIMIT)
        except ActivityError:
            for n in reversed(undo):
                await workflow.execute_activity(step, args=[body, -n], **LIMIT)
            return {"ok": False, "compensated": len(undo)}


@workflow.defn(name="slow")
class Slow:
    """Three steps with side effects."""

    @workflow.run
    async def run(self, body: Json) -> Json:
        """The workflow."""
        for n in (1, 2, 3):
            await workflow.execute_activity(durable_slow_step, args=[body["run_id"], n], **LIMIT)
        with workflow.unsafe.sandbox_unrestricted():
            effect(body["run_id"], "done")
        return result(3)


@workflow.defn(name="timer")
class Timer:
    """A durable sleep."""

    @workflow.run
    async def run(self, body: Json) -> Json:
        """The workflow."""
        with workflow.unsafe.sandbox_unrestricted():
            effect(body["run_id"], "start")
        await workflow.sleep(TIMER_SLEEP_S)
        with workflow.unsafe.sandbox_unrestricted():
            effect(body["run_id"], "wake")
        return result(1)


async def main() -> None:
    """One worker with the SDK's defaults."""
    client = await Client.connect(os.environ["BENCH_TARGET"])
    worker = Worker(
        client,
        task_queue=os.environ["BENCH_QUEUE"],
        workflows=[One, Saga, Comp, Slow, Timer],
        activities=[step, failing, durable_slow_step],
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
