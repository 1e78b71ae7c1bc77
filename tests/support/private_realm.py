"""The realm of the tests of privacy: whatever a handler can do with what it got, with secrets."""

from __future__ import annotations

import logging

from pydantic import BaseModel

from symphainy import (
    EACH,
    Context,
    Event,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Retry,
    StateChange,
    Step,
    TerminalError,
)

realm = Realm("vault")
plans = Realm("solution")
_log = logging.getLogger(__name__)


class Secret(BaseModel):
    """What nobody else may read."""

    text: str


class Kept(BaseModel):
    """The same, as a result."""

    text: str


class Secrets(BaseModel):
    """Several."""

    texts: list[Secret]
    first: str
    open: bool = True


async def echo(text: str) -> str:
    return text


@realm.intent("vault.keep")
async def keep(ctx: Context, secret: Secret) -> Outcome:
    """All that an outcome can hold, and all that is recorded on the way."""
    known = await ctx.step("echo", echo, secret.text)
    await ctx.progress(f"at {known}")
    reference = await ctx.artifacts.put("text", f"the artifact {known}")
    assert await ctx.artifacts.get(reference) == f"the artifact {known}".encode()
    return Outcome(
        result=Kept(text=known),
        artifacts={"text": reference},
        events=[Event("secret.kept", {"text": known})],
        state_changes=[StateChange("kept", known)],
    )


@realm.intent("vault.refuse", retry=Retry(attempts=1))
async def refuse(ctx: Context, secret: Secret) -> None:
    """Says in its error what it got."""
    raise TerminalError(f"Not with {secret.text}.", code="refused", cure=f"No {secret.text}.")


@realm.intent("vault.crash", retry=Retry(attempts=2, initial="10ms"))
async def crash(ctx: Context, secret: Secret) -> None:
    """Fails with what it got in its exception."""
    raise RuntimeError(f"crashed over {secret.text}")


@realm.intent("vault.wait")
async def wait(ctx: Context, secret: Secret) -> Kept:
    """Waits for a signal and returns what came with it."""
    told = await ctx.signal("told", Secret)
    return Kept(text=f"{secret.text} and {told.text}")


@realm.intent("vault.call")
async def call(ctx: Context, secret: Secret) -> Kept:
    """Has it kept by an execution of its own."""
    found = await ctx.invoke(keep, secret)
    return Kept(text=found["text"])


@plans.plan("solution.keep_all")
def keep_all(secrets: PlanInput[Secrets]) -> Plan:
    """Each of them, then the first once more if it is open, then of the results."""
    each = Step("each", keep, for_each=secrets["texts"])
    first = Step("first", keep, {"text": secrets["first"]}, when=secrets["open"].is_(True))
    again = Step("again", keep, {"text": EACH["text"]}, for_each=each.result, needs=[first])
    return Plan([each, first, again], result={"each": each.result, "first": first.result})
