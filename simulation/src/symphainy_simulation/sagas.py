"""Draws executions with plans, and what is asked of them: a part of the plan by itself, from a
stream of its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.actors import plans
from symphainy_simulation.actors.programs import Line, Part
from symphainy_simulation.plan import Kind, Scenario, Stated

SHARE = 0.4  # of the seeds have some
LATEST_MS = 1_800
PLANS = ("chain", "diamond", "branch", "held", "held", "forward", "haste", "single")
FORWARD = (("quick", 9), ("flaky", 3), ("refuse", 3), ("hang", 2), ("slow", 1), ("waits", 2))
BACKWARD = (("quick", 9), ("flaky", 3), ("refuse", 2), ("hang", 1), ("slow", 1), ("waits", 1))
REQUESTS = (
    (Kind.RETRY, 6),
    (Kind.UNDO, 3),
    (Kind.CANCEL, 3),
    (Kind.PAUSE, 2),
    (Kind.RESUME, 2),
    (Kind.SIGNAL, 3),
    (Kind.FORGED, 2),
    (Kind.AGAIN, 1),
)


def with_sagas(stated: list[Stated], chance: Random, scenario: Scenario) -> list[Stated]:
    """What is stated, and behind it executions with plans and what is asked of those."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)
    sessions = [(one.tenant, one.session) for one in stated if one.kind is Kind.OPEN]
    trouble = chance.choice((0.1, 0.3, 0.6))
    burst = chance.random() < 0.25  # all at once, in one session: they meet at what is locked
    place, latest = chance.choice(sessions), 400 if burst else 2_200
    for _ in range(chance.choice((1, 2, 3) if not burst else (3, 5))):
        name = chance.choice(PLANS)
        tenant, session = place if burst else chance.choice(sessions)
        one = Stated(
            len(found), chance.randrange(60, latest), Kind.INTENT, tenant, session,
            intent_type=f"{chance.choice(('work', 'side')[: scenario.realms])}.{name}",
            key=chance.choice("xxy"),
            priority=chance.choice((3, 3, 1, 5)),
            parts=tuple((s, part(chance, scenario, trouble)) for s in plans.steps_of(name)),
        )  # fmt: skip
        found.append(one)
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            found.append(request(len(found), one, plans.steps_of(name), chance))
    return found


def part(chance: Random, scenario: Scenario, trouble: float) -> Part:
    """What a step does, and what undoes it."""
    forward = _lines(FORWARD, chance, scenario, trouble)
    return Part(forward, _lines(BACKWARD, chance, scenario, trouble))


def _lines(
    kinds: tuple[tuple[str, int], ...], chance: Random, scenario: Scenario, trouble: float
) -> tuple[Line, ...]:
    work = Line("work", ms=chance.randrange(1, 60))
    kind = chance.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
    if kind == "quick" or (kind != "waits" and chance.random() >= trouble):
        return (work,) if chance.random() < 0.7 else ()
    until = chance.choice((1, 1, scenario.attempts, scenario.attempts + 1))
    match kind:
        case "flaky":
            return (work, Line("fail", ms=chance.choice((0, 0, 40)), until=until))
        case "refuse":
            return (work, Line("refuse", until=chance.choice((until, 1_000))))
        case "hang":
            return (Line("hang", until=until),)
        case "slow":
            return (Line("work", ms=chance.randrange(1, 2 * scenario.timeout_ms), until=until),)
        case _:
            wait = Line(chance.choice(("sleep", "both")), name="w", ms=chance.choice((1, 80, 400)))
            return (Line("step", name="s", ms=chance.randrange(1, 40)), wait, work)


def request(number: int, one: Stated, steps: tuple[str, ...], chance: Random) -> Stated:
    """What is asked of an execution: before its intent, which refuses it; while it goes on, or is
    stuck; or after its end."""
    at_ms = max(0, one.at_ms + chance.randrange(-30, LATEST_MS))
    kind = chance.choices([k for k, _ in REQUESTS], [w for _, w in REQUESTS])[0]
    asked = Stated(number, at_ms, kind, one.tenant, one.session, of=one.number)
    if kind is Kind.RETRY:
        step = chance.choice((*steps, *(f"compensate:{x}" for x in steps), "nobody"))
        lines = chance.choice(((), (), (Line("work", ms=chance.randrange(1, 30)),)))
        return replace(asked, step=step, lines=lines)
    if kind is Kind.SIGNAL:
        return replace(asked, key="w")
    return replace(asked, variant=chance.randrange(4, 8)) if kind is Kind.FORGED else asked
