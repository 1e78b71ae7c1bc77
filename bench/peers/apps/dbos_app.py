"""The flows as DBOS workflows, behind FastAPI."""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return"
# DBOS is in the peers' own environment, which the project's type check does not see.

import os

import uvicorn
from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Request

from bench.peers.steps import FLOWS, TIMER_SLEEP_S, Json, effect, result, slow_step

app = FastAPI()
config: DBOSConfig = {"name": "bench", "log_level": "WARNING"}
if os.environ.get("BENCH_DB"):
    config["system_database_url"] = os.environ["BENCH_DB"]
DBOS(config=config)


class Refused(Exception):
    """The step fails for good."""


@DBOS.step()
async def step(body: Json, n: int) -> Json:
    """A step that does nothing."""
    return result(n)


@DBOS.step()
async def failing(body: Json, n: int) -> Json:
    """A step that fails for good."""
    raise Refused("step refused")


@DBOS.step()
async def durable_slow_step(run_id: str, n: int) -> Json:
    """A step with a side effect."""
    return await slow_step(run_id, n)


@DBOS.workflow()
async def one(body: Json) -> Json:
    """One step."""
    return await step(body, 1)


@DBOS.workflow()
async def saga(body: Json) -> Json:
    """Three steps."""
    await step(body, 1)
    await step(body, 2)
    return await step(body, 3)


@DBOS.workflow()
async def comp(body: Json) -> Json:
    """Three steps, the last fails, the others are undone in reverse order."""
    undo = []
    try:
        await step(body, 1)
        undo.append(1)
        await step(body, 2)
        undo.append(2)
        return await failing(body, 3)
    except Refused:
        for n in reversed(undo):
            await step(body, -n)
        return {"ok": False, "compensated": len(undo)}


@DBOS.workflow()
async def slow(body: Json) -> Json:
    """Three steps with side effects."""
    run_id = body["run_id"]
    for n in (1, 2, 3):
        await durable_slow_step(run_id, n)
    effect(run_id, "done")
    return result(3)


@DBOS.workflow()
async def timer(body: Json) -> Json:
    """A durable sleep."""
    effect(body["run_id"], "start")
    await DBOS.sleep_async(TIMER_SLEEP_S)
    effect(body["run_id"], "wake")
    return result(1)


WORKFLOWS = dict(zip(FLOWS, (one, saga, comp, slow, timer), strict=True))


@app.get("/health")
async def health() -> Json:
    """Whether the application answers."""
    return {}


@app.post("/{flow}")
async def run(flow: str, request: Request) -> Json:
    """Run a workflow to its end."""
    body = await request.json()
    with SetWorkflowID(body["run_id"]):
        return await WORKFLOWS[flow](body)


@app.post("/{flow}/send")
async def send(flow: str, request: Request) -> Json:
    """Start a workflow in the background."""
    body = await request.json()
    with SetWorkflowID(body["run_id"]):
        handle = await DBOS.start_workflow_async(WORKFLOWS[flow], body)
    return {"id": handle.get_workflow_id()}


@app.post("/{flow}/result")
async def outcome(flow: str, request: Request) -> Json:
    """The result of a workflow that was started; polled oftener than the library's 1 s."""
    body = await request.json()
    handle = await DBOS.retrieve_workflow_async(body["run_id"])
    return await handle.get_result(polling_interval_sec=0.05)


if __name__ == "__main__":
    DBOS.launch()
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning")
