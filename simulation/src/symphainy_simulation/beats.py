"""Draws handlers that must show signs of life: a part of the plan by itself, from a stream of its
own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.actors.programs import Line
from symphainy_simulation.plan import Stated

SHARE = 0.4  # of the seeds have some


def with_beats(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, with some of the handlers that have steps under a heartbeat."""
    if chance.random() >= SHARE:
        return stated
    return [_beating(one, chance) if one.has_steps else one for one in stated]


def _beating(one: Stated, chance: Random) -> Stated:
    if chance.random() < 0.4:
        return one
    lines = list(one.lines)
    for _ in range(chance.choice((0, 1, 2))):
        # Longer than the heartbeat, or not, with a sign of life behind.
        silence = Line(
            "work", ms=chance.choice((30, 60, 85, 110, 150)), until=chance.choice((1, 9))
        )
        place = chance.randint(0, len(lines))
        lines[place:place] = [silence, Line("progress")]
    intent_type = one.intent_type.replace(".steps", ".beating")
    return replace(one, intent_type=intent_type, lines=tuple(lines))
