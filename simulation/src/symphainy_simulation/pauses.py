"""Draws who lets executions rest, and go on: a part of the plan by itself, from a stream of its
own."""

from __future__ import annotations

from random import Random

from symphainy_simulation.plan import Kind, Stated

SHARE = 0.4  # of the seeds have some
LATEST_MS = 900
LONGEST_MS = 1_200


def with_pauses(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, and behind it who wants some of it to rest for a while."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)

    def ask(one: Stated, kind: Kind, at_ms: int) -> None:
        place = len(found), at_ms, kind, one.tenant, one.session
        found.append(Stated(*place, of=one.number))

    for one in stated:
        if one.kind is Kind.INTENT and chance.random() < 0.4:
            at_ms = one.at_ms
            for _ in range(chance.choice((1, 1, 2))):
                # Before its intent, which refuses it; while it runs or waits; or after its end.
                at_ms = max(0, at_ms + chance.randrange(-50, LATEST_MS))
                ask(one, Kind.PAUSE, at_ms)
            for _ in range(chance.choice((0, 1, 1, 2))):
                at_ms += chance.randrange(LONGEST_MS)
                ask(one, Kind.RESUME, at_ms)
    return found
