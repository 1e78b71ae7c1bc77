"""A realm for worker processes: what it ran, and when it may go on, are files."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from pydantic import BaseModel

from symphainy import Context, Outcome, Realm

realm = Realm("probe")
# Of the patient ones (`patient`). Nobody waits for it, so it may be far above what a busy machine
# takes to start a process.
SESSION_S = 300
FOLDER = Path(os.environ.get("PROBE_FOLDER", "."))


class Nothing(BaseModel):
    """A payload of nothing."""


@realm.intent("probe.echo")
async def echo(ctx: Context, payload: Nothing) -> Outcome:
    """Return at once."""
    return Outcome(result=ctx.execution_id)


@realm.intent("probe.hold")
async def hold(ctx: Context, payload: Nothing) -> Outcome:
    """Note that it ran, then wait until it may go on."""
    with (FOLDER / "ran").open("a") as ran:
        ran.write(f"{ctx.execution_id}\n")
    await ctx.progress("holding")
    while not (FOLDER / "go-on").exists():  # noqa: ASYNC110  # another process says so
        await asyncio.sleep(0.01)
    return Outcome()


@realm.intent("probe.hang")
def hang(ctx: Context, payload: Nothing) -> None:
    """Never return; in a thread, which cannot be cancelled."""
    ctx.wait(ctx.progress("hanging"))
    threading.Event().wait()
