"""Any handler of steps and waits, whatever goes wrong with it, in a harness.

- It ends with its result, in as much virtual time as it takes.
- A step takes effect once, and twice only where its worker died between effect and record (G3).
- Whatever the logs then hold keeps every guarantee that the simulator's checkers know.
- The same again leaves the same journal, and its handler is compatible with its own record.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.unit.testing_kit.test_guarantees import history_of

from symphainy import Context, Realm, Retry, SignalTimeout
from symphainy.testing import Harness, Recording, replay
from symphainy_simulation.checking import check_all


class Program(BaseModel):
    """What a handler does; each part may be several things side by side."""

    parts: list[list[str]]


@dataclass(frozen=True)
class Plan:
    """What goes wrong in the first call of a step."""

    kind: str
    when: str

    def on(self, harness: Harness, step: str) -> None:
        """Plan it."""
        match self.kind:
            case "fail":
                harness.fail("programs.run", ValueError("as planned"), step=step)
            case "hang":
                harness.hang("programs.run", step=step)
            case "crash":
                harness.crash("programs.run", step=step, when=self.when)


PARTS = st.lists(
    st.lists(st.sampled_from(["step", "sleep", "signal", "thread"]), min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)
PLANS = st.lists(
    st.none()
    | st.builds(
        Plan,
        st.sampled_from(["fail", "hang", "crash"]),
        st.sampled_from(["before", "ran", "recorded"]),
    ),
    min_size=15,
    max_size=15,
)


def realm_of(effects: Counter[str]) -> Realm:
    realm = Realm("programs")

    async def effect(name: str) -> str:
        effects[name] += 1
        return name

    def effect_in_thread(name: str) -> str:
        effects[name] += 1
        return name

    async def one(ctx: Context, kind: str, name: str) -> str:
        match kind:
            case "step":
                return await ctx.step(name, effect, name)
            case "thread":
                return await ctx.step(name, effect_in_thread, name)
            case "sleep":
                await ctx.sleep("1h")
            case _:
                try:
                    await ctx.signal(name, timeout="1d")
                except SignalTimeout:
                    return f"no {name}"
        return name

    @realm.intent("programs.run", timeout="1m", retry=Retry(attempts=50, maximum="5s"))
    async def run(ctx: Context, program: Program) -> dict[str, list[str]]:
        told: list[str] = []
        for n, part in enumerate(program.parts):
            together = (one(ctx, kind, f"{n}.{i}") for i, kind in enumerate(part))
            told += await asyncio.gather(*together)
        return {"told": told}

    return realm


async def run(parts: list[list[str]], plans: list[Plan | None]) -> list[object]:
    """Run it, check it; its journal."""
    effects = Counter[str]()
    realm = realm_of(effects)
    steps = [
        f"{n}.{i}"
        for n, part in enumerate(parts)
        for i, kind in enumerate(part)
        if kind in ("step", "thread")
    ]
    planned = {name: plan for name, plan in zip(steps, plans, strict=False) if plan}
    async with Harness(realm) as harness:
        for name, plan in planned.items():
            plan.on(harness, name)
        execution = await harness.submit("programs.run", Program(parts=parts), until="ended")
        execution.succeeded()
        assert set(effects) == set(steps)
        if all(len(part) == 1 for part in parts):  # side by side, another's death strikes it too
            for name in steps:
                lost = planned.get(name) == Plan("crash", "ran")
                assert effects[name] == (2 if lost else 1)
        await harness.skip("3m")
        assert check_all(history_of(harness, quiet=True)) == []
    before = effects.copy()
    (await replay(realm, Recording.of(execution))).compatible()
    assert effects == before
    return [one.event for one in execution.journal]


@settings(max_examples=60, deadline=None)
@given(parts=PARTS, plans=PLANS)
def test_whatever_goes_wrong_it_ends_as_it_should(
    parts: list[list[str]], plans: list[Plan | None]
) -> None:
    scenario = partial(run, parts, plans)
    first = asyncio.run(scenario())
    if not any("thread" in part and len(part) > 1 for part in parts):  # those race, as they do
        assert asyncio.run(scenario()) == first
