"""A realm as it was recorded, and as somebody changed it: what differs is known of each payload."""

from __future__ import annotations

from pydantic import BaseModel

from symphainy import Context, Outcome, Realm, Retry, TerminalError

DIFFERS, FAILS, ASKS = 7, 501, 333
"""Of so many numbers one is answered otherwise, is refused, or asks for a step more."""


class Number(BaseModel):
    """What an execution is of."""

    n: int


def double(n: int) -> int:
    """A step's effect."""
    return 2 * n


def audit(n: int) -> int:
    """The effect of a step that only the changed code has; it must never run in a replay."""
    raise AssertionError("a step ran in a replay")


def is_different(n: int) -> bool:
    """Whether the changed code answers this number otherwise, and does not fail."""
    return not is_failed(n) and (n % DIFFERS == 3 or is_asking(n))


def is_failed(n: int) -> bool:
    """Whether the changed code refuses this number."""
    return n % FAILS == 5


def is_asking(n: int) -> bool:
    """Whether the changed code asks for a step more."""
    return n % ASKS == 2


def _realm(changed: bool) -> Realm:
    realm = Realm("shadowed")

    @realm.intent("shadowed.quick")
    async def quick(ctx: Context, payload: Number) -> dict[str, int]:
        if changed and is_failed(payload.n):
            raise TerminalError("It is not taken any more.", code="refused_now")
        if changed and is_asking(payload.n):
            await ctx.step("audit", audit, payload.n)
        return {"n": payload.n + (changed and is_different(payload.n))}

    @realm.intent("shadowed.stepped", retry=Retry(attempts=3, initial="1s"))
    async def stepped(ctx: Context, payload: Number) -> Outcome:
        twice = await ctx.step("double", double, payload.n)
        await ctx.sleep("1m")
        text = await ctx.artifacts.put("text", f"{twice}", media_type="text/plain")
        if changed and is_failed(payload.n):
            raise TerminalError("It is not taken any more.", code="refused_now")
        if changed and is_asking(payload.n):
            await ctx.step("audit", audit, payload.n)
        off = changed and is_different(payload.n)
        return Outcome(result={"twice": twice, "off": off or None}, artifacts={"text": text})

    @realm.intent("shadowed.parent")
    def parent(ctx: Context, payload: Number) -> dict[str, int]:
        child = ctx.wait(ctx.invoke("shadowed.quick", {"n": 1_000_000 + payload.n}))
        if changed and is_failed(payload.n):
            raise TerminalError("It is not taken any more.", code="refused_now")
        if changed and is_asking(payload.n):
            ctx.wait(ctx.step("audit", audit, payload.n))
        return {"n": child["n"] + (changed and is_different(payload.n))}

    @realm.intent("shadowed.refused")
    async def refused(ctx: Context, payload: Number) -> None:
        raise TerminalError(f"{payload.n} is not taken.", code="never")

    return realm


before = _realm(changed=False)
after = _realm(changed=True)
