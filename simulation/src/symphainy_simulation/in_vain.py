"""Draws plans whose steps have others do what fails, and whom an operator then has tried again: a
part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from dataclasses import replace as changed
from random import Random

from msgspec.structs import replace

from symphainy_schemas.records import INVOKED
from symphainy_simulation.actors import plans
from symphainy_simulation.actors.programs import Line, Part
from symphainy_simulation.plan import Kind, Scenario, Stated

SHARE = 0.12  # of the seeds have some
LATEST_MS = 2_000
PLANS = ("held", "held", "held", "chain", "forward")
ASKED_AFTER_MS = (300, 2_000)


def with_failing_children(stated: list[Stated], chance: Random, scenario: Scenario) -> list[Stated]:
    """What is stated, and behind it such plans with what is asked of them."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)
    sessions = [(one.tenant, one.session) for one in stated if one.kind is Kind.OPEN]
    realms = ("work", "side")[: scenario.realms]
    for _ in range(chance.choice((1, 1, 2))):
        name = chance.choice(PLANS)
        tenant, session = chance.choice(sessions)
        parts = [(step, _quick(chance)) for step in plans.steps_of(name)]
        at = chance.randrange(len(parts))
        parts[at] = parts[at][0], _failing(chance, realms, undo=chance.random() < 0.3)
        one = Stated(
            len(found), chance.randrange(60, LATEST_MS), Kind.INTENT, tenant, session,
            intent_type=f"{chance.choice(realms)}.{name}",
            key=chance.choice("xxy"),
            parts=tuple(parts),
        )  # fmt: skip
        found.append(one)
        for _ in range(chance.choice((1, 2, 3))):
            found.append(_retry(len(found), one, parts[at][0], chance))
    return found


def _retry(number: int, one: Stated, step: str, chance: Random) -> Stated:
    at_ms = one.at_ms + chance.randrange(*ASKED_AFTER_MS)
    asked = Stated(number, at_ms, Kind.RETRY, one.tenant, one.session, of=one.number)
    lines = chance.choice(((), (), (), (Line("work", ms=5),)))
    return changed(asked, step=chance.choice((step, step, f"compensate:{step}")), lines=lines)


def _quick(chance: Random) -> Part:
    return Part((Line("work", ms=chance.randrange(1, 40)),), ())


def _failing(chance: Random, realms: tuple[str, ...], *, undo: bool) -> Part:
    """What has others do something, some of it in vain, in whichever order, and does more itself,
    before or after."""
    lines = [
        line
        for number in range(chance.choice((1, 1, 2, 3)))
        for line in _asks(chance, realms, f"v{number}")
    ]
    if chance.random() < 0.4:
        step = Line("step", name="noted", ms=chance.randrange(1, 30))
        lines.insert(chance.randint(0, len(lines)), step)
    work = (Line("work", ms=chance.randrange(1, 40)),)
    return Part(work, tuple(lines)) if undo else Part(tuple(lines), work)


def _asks(chance: Random, realms: tuple[str, ...], name: str) -> tuple[Line, ...]:
    """One of them, or two side by side; who insists fails with what it asked for. What fails may be
    mended by the second attempt."""
    do = chance.choice(("insist", "insist", "insist", "invoke"))
    fails = chance.random() < 0.6
    asked = _invokes(chance, do, realms, name, fails=fails)
    beside: tuple[Line, ...] = (
        _invokes(chance, "invoke", realms, f"{name}.1", fails=chance.random() < 0.4),
    )
    if chance.random() < 0.4:
        beside = ()
    if not fails or chance.random() < 0.5:
        return (Line("gather", lines=(asked, *beside)),)
    first = Line("gather", until=1, lines=(asked, *beside))
    mended = replace(asked, lines=(Line("work", ms=20),))
    return (first, Line("gather", lines=(mended, *beside)))


def _invokes(chance: Random, do: str, realms: tuple[str, ...], name: str, *, fails: bool) -> Line:
    asks = f"{chance.choice(realms)}.quick"
    work = Line("work", ms=chance.choice((1, 30, 400)))
    lines = (work, Line("refuse")) if fails else (work,)
    ms = chance.choice((0, 0, 0, 60))
    return Line(do, name=f"{INVOKED}{asks}:{name}", ms=ms, asks=asks, lines=lines)
