"""Draws executions with plans whose steps are run for each element of a list, and what is asked of
them: a part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_schemas.ids import element_of
from symphainy_simulation.actors import plans
from symphainy_simulation.actors.programs import Element, Many
from symphainy_simulation.plan import Kind, Scenario, Stated
from symphainy_simulation.sagas import part, request

SHARE = 0.2  # of the seeds have some
NO_LIST = 0.06
SIZES = (0, 1, 2, 3, 3, 5, 8)


def with_fanouts(stated: list[Stated], chance: Random, scenario: Scenario) -> list[Stated]:
    """What is stated, and behind it executions with such plans and what is asked of those."""
    if chance.random() >= SHARE:
        return stated
    found = list(stated)
    sessions = [(one.tenant, one.session) for one in stated if one.kind is Kind.OPEN]
    trouble = chance.choice((0.1, 0.3, 0.6))
    for _ in range(chance.choice((1, 2, 3))):
        name = chance.choice(("many", "many", "many_held"))
        tenant, session = chance.choice(sessions)
        one = Stated(
            len(found), chance.randrange(60, 2_000), Kind.INTENT, tenant, session,
            intent_type=f"{chance.choice(('work', 'side')[: scenario.realms])}.{name}",
            key=chance.choice("xxy"),
            priority=chance.choice((3, 3, 1, 5)),
            parts=tuple((s, part(chance, scenario, trouble)) for s in plans.steps_of(name)),
            many=_many(chance, scenario, trouble),
        )  # fmt: skip
        found.append(one)
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            asked = request(len(found), one, _names(name, one), chance)
            found.append(replace(asked, variant=4) if asked.kind is Kind.FORGED else asked)
    return found


def _many(chance: Random, scenario: Scenario, trouble: float) -> Many:
    if chance.random() < NO_LIST:
        return "none"
    several = [part(chance, scenario, trouble / 3) for _ in range(chance.choice(SIZES))]
    return tuple(Element(n, one.lines, one.undo) for n, one in enumerate(several))


def _names(name: str, one: Stated) -> tuple[str, ...]:
    """The steps of it, and of those that are run for elements three, which there may not be."""
    many = [step for step in plans.steps_of(name) if (name, step) in plans.FOR_EACH]
    return (*plans.steps_of(name), *(element_of(step, n) for step in many for n in (0, 1, 2)))
