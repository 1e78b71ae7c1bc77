"""Draws who wants executions to end: a part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from random import Random

from symphainy_simulation.plan import Kind, Stated

SHARE = 0.4  # of the seeds have some
LATEST_MS = 1_500


def with_cancels(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, and behind it who wants some of it to end."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)
    for one in stated:
        if one.kind is Kind.INTENT and chance.random() < 0.4:
            for _ in range(chance.choice((1, 1, 1, 2))):
                # Before its intent, which refuses it; while it runs or waits; or after its end.
                at_ms = max(0, one.at_ms + chance.randrange(-50, LATEST_MS))
                place = len(found), at_ms, Kind.CANCEL, one.tenant, one.session
                found.append(Stated(*place, of=one.number))
    return found
