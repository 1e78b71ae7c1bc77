"""Draws the lives of sessions: a part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.plan import Kind, Stated

SHARE = 0.25  # of the seeds have some
LATEST_MS = 2_600


def with_sessions(stated: list[Stated], chance: Random) -> list[Stated]:
    """What is stated, with sessions that expire; and behind it who changes and closes them, or
    says that their time is over."""
    if chance.random() >= SHARE:
        return stated
    found = [_with_a_time(one, chance) for one in stated]
    opened = [one for one in found if one.kind is Kind.OPEN]

    def ask(one: Stated, kind: Kind, at_ms: int) -> None:
        place = len(found), at_ms, kind, one.tenant, one.session
        found.append(Stated(*place, cancels=chance.random() < 0.6))

    for one in opened:
        for _ in range(chance.choice((0, 0, 1, 2))):
            ask(one, Kind.CHANGE, chance.randrange(LATEST_MS))
        for _ in range(chance.choice((0, 0, 0, 2))):
            ask(one, Kind.EXPIRE, chance.randrange(LATEST_MS))
        if chance.random() < 0.4:
            ask(one, Kind.CLOSE, chance.randrange(100, LATEST_MS))
    return found


def _with_a_time(one: Stated, chance: Random) -> Stated:
    if one.kind is not Kind.OPEN or chance.random() < 0.3:
        return one
    return replace(
        one,
        idle_ms=chance.choice((0, chance.randrange(40, 900))),
        lifetime_ms=chance.choice((0, chance.randrange(100, 3_500))),
        cancels=chance.random() < 0.5,
    )


def with_opened_again(stated: list[Stated], chance: Random, window_ms: int) -> list[Stated]:
    """What is stated, and behind it who opens sessions again that were over for a dedupe window, by
    when their ids are free, and uses them."""
    if window_ms > LATEST_MS or chance.random() < 0.5:
        return stated
    found = list(stated)
    for one in stated:
        if one.kind in (Kind.CLOSE, Kind.EXPIRE) and chance.random() < 0.7:
            at_ms = one.at_ms + window_ms + chance.randrange(-60, 400)
            place = at_ms, Kind.OPEN, one.tenant, one.session
            found.append(_with_a_time(Stated(len(found), *place), chance))
            place = at_ms + chance.randrange(400), Kind.INTENT, one.tenant, one.session
            found.append(Stated(len(found), *place, intent_type="work.quick"))
    return found
