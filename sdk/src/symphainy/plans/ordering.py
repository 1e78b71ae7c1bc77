"""The steps of a plan in an order in which what is needed comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symphainy.plans.stating import bad


def ordered(needs: Mapping[str, Sequence[str]], where: str) -> list[str]:
    """The steps, each behind what it needs, otherwise as they were stated.

    Raises:
        DeclarationError: steps need each other.
    """
    found: dict[str, None] = {}
    while len(found) < len(needs):
        free = [s for s in needs if s not in found and all(one in found for one in needs[s])]
        if not free:
            raise bad(
                f"{where}: {' needs '.join(_circle(needs, found))}",
                "Take one of these needs away: a step begins when what it needs has ended.",
            )
        found.update(dict.fromkeys(free[:1]))
    return list(found)


def preceding(conditional: Mapping[str, bool], where: str) -> dict[str, list[str]]:
    """What each step needs so that the steps are carried out as listed; given whether each has a
    condition.

    That is the one before, and where that may be skipped the one before it, too: a step of which
    all needs were skipped is skipped, and one that has no condition never is to be.

    Raises:
        DeclarationError: the first may be skipped, and there is none before it.
    """
    found: dict[str, list[str]] = {}
    before: list[str] = []  # the last that is never skipped, and what stands behind it
    for name, may_be_skipped in conditional.items():
        if may_be_skipped and not before:
            raise bad(
                f"{where}: step {name} is the first in order, and has a condition",
                "Where it does not hold, all that needs it is skipped: list a step without one "
                "first, or leave in_order out and state what each step needs.",
            )
        found[name] = list(before)
        before = [*before, name] if may_be_skipped else [name]
    return found


def _circle(needs: Mapping[str, Sequence[str]], done: Mapping[str, None]) -> list[str]:
    """Steps of which each needs the next, and the last is the first."""
    way = [next(step for step in needs if step not in done)]
    while way[-1] not in way[:-1]:
        way.append(next(one for one in needs[way[-1]] if one not in done))
    return way[way.index(way[-1]) :]
