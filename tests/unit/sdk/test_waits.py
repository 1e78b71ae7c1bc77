"""A handler that waits, without a worker.

- It is ended where it waits, with the name, the time and the signal of the wait.
- Run again with what was recorded, it goes on; the same calls use the same names.
- A time that passed is a `SignalTimeout`; data that does not fit is terminal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from tests.unit.sdk.fakes import NOW, run

from symphainy import Context, Realm, SignalTimeout
from symphainy_schemas.records import Checkpoint, Wait

content = Realm("content")


class File(BaseModel):
    """A payload."""

    path: str


class Grant(BaseModel):
    """A signal's data."""

    by: str


@content.intent("content.sleep")
async def sleeps(ctx: Context, payload: File) -> dict[str, int]:
    """Sleeps twice."""
    await ctx.sleep("2h")
    await ctx.sleep(timedelta(seconds=1))
    return {"slept": 2}


@content.intent("content.ask")
async def asks(ctx: Context, payload: File) -> dict[str, Any]:
    """Asks once, and says who granted it."""
    try:
        grant = await ctx.signal("grant", Grant, timeout="1m")
    except SignalTimeout:
        return {"by": None}
    return {"by": grant.by}


async def test_it_is_ended_where_it_waits() -> None:
    called = await run(sleeps)
    assert called.end is None
    assert called.supervision.waits == [Wait("sleep:1", NOW + 7_200_000)]


async def test_it_goes_on_past_what_was_recorded() -> None:
    slept = Checkpoint("sleep:1", b"")
    called = await run(sleeps, checkpoints=(slept,))
    assert called.supervision.waits == [Wait("sleep:2", NOW + 1_000)]
    called = await run(sleeps, checkpoints=(slept, Checkpoint("sleep:2", b"")))
    assert called.result == {"slept": 2}


async def test_a_signals_data_is_read_as_its_model() -> None:
    called = await run(asks)
    assert called.supervision.waits == [Wait("signal:grant:1", NOW + 60_000, "grant")]
    called = await run(asks, checkpoints=(Checkpoint("signal:grant:1", b'{"by":"ann"}'),))
    assert called.result == {"by": "ann"}


async def test_a_signal_that_does_not_come_is_a_timeout() -> None:
    called = await run(asks, checkpoints=(Checkpoint("signal:grant:1", b""),))
    assert called.result == {"by": None}


async def test_data_that_does_not_fit_is_terminal() -> None:
    called = await run(asks, checkpoints=(Checkpoint("signal:grant:1", b'{"of":1}'),))
    assert (called.error.code, called.error.retryable) == ("signal_unreadable", False)
    assert called.error.cure
