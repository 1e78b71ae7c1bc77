"""Draws handlers that wait, and who sends them signals.

A part of the plan by itself, drawn from a stream of its own: what a seed drew before there were
waits, it still draws.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.actors.programs import Line
from symphainy_simulation.plan import Kind, Stated

SHARE = 0.4  # of the seeds have some
LONGEST_MS = 900
KINDS = ("sleep", "signal", "both")


def with_waits(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, with waits in some of the handlers, and signals behind it."""
    if chance.random() >= SHARE:
        return stated
    found: list[Stated] = []
    for one in stated:
        waits = one.kind is Kind.INTENT and chance.random() < 0.5
        found.append(replace(one, lines=_with_waits(one.lines, chance)) if waits else one)
    for one in list(found):
        names = [line.name for line in one.lines if line.do in ("signal", "both")]
        for name in names:
            for _ in range(chance.choice((0, 1, 1, 2))):
                found.append(_signal(len(found), one, name, chance))
    return found


def _with_waits(lines: tuple[Line, ...], chance: Random) -> tuple[Line, ...]:
    woven = list(lines)
    for number in range(chance.choice((1, 1, 2, 3))):
        do = chance.choice(KINDS)
        wait = Line(do, name=f"w{number}", ms=chance.choice((0, 20, 200, LONGEST_MS)) + 1)
        woven.insert(chance.randint(0, len(woven)), wait)
    return tuple(woven)


def _signal(number: int, one: Stated, name: str, chance: Random) -> Stated:
    """Before its intent, which refuses it; while its handler waits; or after the end."""
    at_ms = max(0, one.at_ms + chance.randrange(-100, 2 * LONGEST_MS))
    return Stated(number, at_ms, Kind.SIGNAL, one.tenant, one.session, of=one.number, key=name)
