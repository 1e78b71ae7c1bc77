"""A realm in two versions of its code: they differ in a handler's contract."""

from __future__ import annotations

from pydantic import BaseModel

from symphainy import Context, Realm

first, second = Realm("aged"), Realm("aged")


class Held(BaseModel):
    """What the first version takes."""

    text: str


class HeldLonger(Held):
    """What the second takes."""

    more: str = ""


@first.intent("aged.hold")
async def hold(ctx: Context, payload: Held) -> dict[str, str]:
    """Waits until it is let go, and says which code it was."""
    await ctx.signal("go")
    return {"code": "first"}


async def hold_longer(ctx: Context, payload: HeldLonger) -> dict[str, str]:
    """Waits until it is let go, and says which code it was."""
    await ctx.signal("go")
    return {"code": "second"}


hold_longer.__name__ = hold_longer.__qualname__ = "hold"
second.intent("aged.hold", serves="own")(hold_longer)
