"""Draws who looks back at executions: a part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from random import Random

from symphainy_runtime.policy.actions import REPLAY_MODES
from symphainy_simulation.plan import Kind, Stated

SHARE = 0.15  # of the seeds have some
LATEST_MS = 2_600
NO_MODE = "half"


def with_replays(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, and behind it who replays some of it: before it is there, while it runs,
    after its end, or when its owner has forgotten it."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)
    for one in stated:
        if one.kind is Kind.INTENT and chance.random() < 0.4:
            for _ in range(chance.choice((1, 1, 3))):
                at_ms = max(0, one.at_ms + chance.randrange(-50, LATEST_MS))
                place = len(found), at_ms, Kind.REPLAY, one.tenant, one.session
                mode = chance.choice((*REPLAY_MODES, NO_MODE))
                found.append(Stated(*place, of=one.number, key=mode))
    return found
