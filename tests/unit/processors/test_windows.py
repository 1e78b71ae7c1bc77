"""How long an intent id is remembered: as the owner's setting says, or as its tenant had it.

- A tenant's own window, shorter or longer than the owner's, counts from the end of the execution.
- It is the one at admission: a later change of the tenant's changes nothing of what was admitted.
- What is forgotten leaves the store; what is not stays, also where the owner forgets earlier.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.property.test_owned_partition import ACME, SESSION, WINDOW_MS, World, folded
from tests.unit.processors.test_sessions import Scene

from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Tenant

REFUSED = "work.nothing"  # no capability takes it: it ends at once


class Windowed(World):
    """A tenant with a dedupe window."""

    window_ms = 0

    def tenant(self, tenant_id: str) -> Tenant | None:
        found = super().tenant(tenant_id)
        return None if found is None else replace(found, dedupe_window_ms=self.window_ms)


def scene(window_ms: int) -> tuple[Scene, Windowed]:
    world = Windowed()
    world.window_ms = window_ms
    return Scene(world=world), world


def answers(one: Scene) -> tuple[int, int]:
    """How often the intent was received, and told to be a repeat."""
    received = [x for x in one.events(e.IntentReceived) if x.intent_type == REFUSED]
    return len(received), len(one.events(e.IntentRepeated))


def states(one: Scene) -> None:
    one.states(REFUSED, "again", {"n": 1})
    one.lands()


@pytest.mark.parametrize("window_ms", [0, WINDOW_MS // 4, WINDOW_MS * 4])
def test_an_id_is_known_for_its_tenants_window(window_ms: int) -> None:
    one, world = scene(window_ms)
    states(one)
    ended_at = world.now
    world.now = ended_at + (window_ms or WINDOW_MS)
    states(one)
    assert answers(one) == (1, 1)
    world.now += 1
    states(one)
    assert answers(one) == (2, 1)


def test_the_window_is_that_of_the_admission() -> None:
    one, world = scene(WINDOW_MS * 4)
    states(one)
    world.window_ms = 1
    world.now += WINDOW_MS * 4
    states(one)
    assert answers(one) == (1, 1)


@pytest.mark.parametrize("window_ms", [WINDOW_MS // 4, WINDOW_MS * 4])
def test_what_is_forgotten_leaves_the_store_and_nothing_else(window_ms: int) -> None:
    one, world = scene(window_ms)
    states(one)
    name = ids.execution_id(ACME.tenant_id, SESSION, "again", 0)
    state = one.owned.state
    state.flush()
    world.now += window_ms
    one.states("runtime.change_session", "change", {"attributes": {}})
    one.lands()
    state.flush()
    assert state.execution(name) is not None
    world.now += 1
    one.states("runtime.change_session", "change again", {"attributes": {}})
    one.lands()
    state.flush()
    assert state.execution(name) is None
    assert name not in folded(one.log.journal).everything()
