"""Draws executions with a deadline: a part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.plan import Stated

SHARE = 0.4  # of the seeds have some


def with_deadlines(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, with some of what has steps, and maybe waits, under a deadline."""
    if chance.random() >= SHARE:
        return stated
    return [_dated(one) if one.has_steps and chance.random() < 0.5 else one for one in stated]


def _dated(one: Stated) -> Stated:
    return replace(one, intent_type=one.intent_type.replace(".steps", ".dated"))
