"""Draws handlers that invoke others: a part of the plan by itself, from a stream of its own.

Whatever else was drawn for an execution (that somebody cancels or pauses it, its deadline, its
waits, the steps of its plan) stays, so that its children meet all of it.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from msgspec import structs

from symphainy_schemas.records import INVOKED
from symphainy_simulation.actors import plans
from symphainy_simulation.actors.programs import Line, Part
from symphainy_simulation.plan import Fault, Harm, Kind, Scenario, Stated

SHARE = 0.35  # of the seeds have some
DEEPEST = 2
LONGEST_MS = 500
LATEST_MS = 3_000
FATES = (
    "is lost",
    "lands only after its producer gave it up",
    "lands, but its acknowledgement is lost",
    "is sent again under a new producer epoch and lands twice",
)
INVOKES = (("invoke", 5), ("insist", 2), ("state", 2), ("gather", 3))
KINDS = (
    ("quick", 6),
    ("steps", 3),
    ("keyed", 2),
    ("flaky", 2),
    ("refuse", 2),
    ("slow", 2),
    ("hang", 1),
    ("dated", 2),
    ("plan", 2),
    ("unknown", 1),
)
PLANS = ("chain", "branch", "forward", "haste")


def with_children(stated: list[Stated], chance: Random, scenario: Scenario) -> list[Stated]:
    """What is stated, with some of the handlers invoking others."""
    if chance.random() >= SHARE:
        return stated
    share = chance.choice((0.2, 0.5, 0.9))
    drawing = _Drawing(chance, scenario)
    found = [
        drawing.of(one) if one.kind is Kind.INTENT and chance.random() < share else one
        for one in stated
    ]
    for one in [one for one in found if one.invokes and chance.random() < 0.3]:
        for _ in range(chance.choice((1, 1, 2))):
            found.append(_request(len(found), one, chance))
    return found


def _request(number: int, one: Stated, chance: Random) -> Stated:
    """Somebody wants something of a child; of its parent, where there is none by then."""
    at_ms = max(0, one.at_ms + chance.randrange(1_500))
    kind = chance.choice((Kind.CANCEL, Kind.CANCEL, Kind.PAUSE, Kind.RESUME))
    place = number, at_ms, kind, one.tenant, one.session
    return Stated(*place, of=one.number, variant=chance.randint(1, 3))


def with_breaks(faults: list[Fault], stated: list[Stated], chance: Random) -> list[Fault]:
    """What goes wrong, and what breaks turns and invocations in the middle, where there are any."""
    if not any(one.invokes for one in stated) or chance.random() < 0.4:
        return faults
    found = list(faults)
    for _ in range(chance.choice((1, 2, 4))):
        follow = chance.random() < 0.7
        fate = chance.choice(("", "kept", "lost", "machine") if follow else FATES)
        found.append(
            Fault(
                number=len(found),
                at_ms=chance.randrange(50, LATEST_MS),
                harm=Harm.FOLLOW if follow else Harm.INTENT,
                target=chance.randrange(12),
                calls=chance.randrange(12),
                ms=chance.choice((5, 200, 900)),
                variant=fate,
                share=chance.random(),
            )
        )
    return sorted(found, key=lambda fault: (fault.at_ms, fault.number))


class _Drawing:
    """The children of one seed."""

    def __init__(self, chance: Random, scenario: Scenario) -> None:
        self._chance = chance
        self._realms = ("work", "side")[: scenario.realms]
        self._scenario = scenario

    def of(self, one: Stated) -> Stated:
        """An execution that invokes others: in its handler, or in some of its plan's steps and of
        what undoes those."""
        if not one.parts:
            return replace(one, lines=self._woven(one.lines, 0))
        return replace(one, parts=tuple((step, self._part(part)) for step, part in one.parts))

    def _part(self, part: Part) -> Part:
        lines, undo = part.lines, part.undo
        if self._chance.random() < 0.5:
            lines = self._woven(lines, 0)
        if self._chance.random() < 0.25:
            undo = self._woven(undo, 0)
        return Part(lines, undo)

    def _woven(self, lines: tuple[Line, ...], depth: int) -> tuple[Line, ...]:
        woven, chance = list(lines), self._chance
        for number in range(chance.choice((1, 1, 1, 2))):
            at = chance.randint(0, len(woven))
            if chance.random() >= 0.3:
                woven.insert(at, self._line(str(number), depth))
                continue
            begun = self._invokes("begin", str(number), depth)
            if chance.random() < 0.6:  # it is waited for later, beside whatever is done meanwhile
                do = chance.choice(("invoke", "insist"))
                woven.insert(chance.randint(at, len(woven)), structs.replace(begun, do=do))
            woven.insert(at, begun)
        return tuple(woven)

    def _line(self, number: str, depth: int) -> Line:
        chance = self._chance
        do = chance.choices([k for k, _ in INVOKES], [w for _, w in INVOKES])[0]
        if do == "gather":
            several = chance.choice((2, 2, 3))
            beside = [self._invokes("invoke", f"{number}.{n}", depth) for n in range(several)]
            if chance.random() < 0.3:
                beside.append(Line("sleep", name=f"c{number}", ms=chance.choice((1, 60, 300))))
            return Line("gather", lines=tuple(beside))
        until = chance.choice((1, 1_000, 1_000, 1_000))
        return structs.replace(self._invokes(do, number, depth), until=until)

    def _invokes(self, do: str, number: str, depth: int) -> Line:
        chance = self._chance
        kind = chance.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
        name = chance.choice(PLANS) if kind == "plan" else kind
        lines = self._plan(name) if kind == "plan" else self._lines(kind)
        if kind != "plan" and depth + 1 < DEEPEST and chance.random() < 0.3:
            lines = self._woven(lines, depth + 1)
        asks = f"{chance.choice(self._realms)}.{name}"
        ms = chance.choice((0, 0, 0, chance.randrange(1, LONGEST_MS)))
        return Line(do, name=f"{INVOKED}{asks}:{number}", ms=ms, asks=asks, lines=lines)

    def _plan(self, name: str) -> tuple[Line, ...]:
        return tuple(
            Line("part", name=step, lines=self._lines(self._chance.choice(("quick", "flaky"))))
            for step in plans.steps_of(name)
        )

    def _lines(self, kind: str) -> tuple[Line, ...]:
        chance, attempts = self._chance, self._scenario.attempts
        work = Line("work", ms=chance.randrange(1, 60))
        match kind:
            case "flaky":
                return (work, Line("fail", ms=chance.choice((0, 30)), until=attempts))
            case "refuse":
                return (work, Line("refuse"))
            case "hang":
                return (Line("hang", until=chance.randint(1, attempts)),)
            case "slow":
                return (Line("work", ms=chance.randrange(1, 2 * self._scenario.timeout_ms)),)
            case "steps" | "dated":
                nap = Line("sleep", name="w", ms=chance.choice((1, 80, LONGEST_MS)))
                return (Line("step", name="s", ms=chance.randrange(1, 40)), nap, work)
            case _:
                return (work,) if chance.random() < 0.6 else ()
