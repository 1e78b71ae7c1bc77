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


def _circle(needs: Mapping[str, Sequence[str]], done: Mapping[str, None]) -> list[str]:
    """Steps of which each needs the next, and the last is the first."""
    way = [next(step for step in needs if step not in done)]
    while way[-1] not in way[:-1]:
        way.append(next(one for one in needs[way[-1]] if one not in done))
    return way[way.index(way[-1]) :]
