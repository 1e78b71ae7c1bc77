"""Bugs planted on purpose, to see that the simulation finds them.

Each is a mutation of the real code, or of a simulated worker or broker, put in place in this
process only and taken out again. The product has no hook for it.
"""

from __future__ import annotations

from symphainy_simulation.plants import (
    cancels,
    children,
    governance,
    journal,
    local,
    pauses,
    replays,
    sagas,
    sessions,
    steps,
    waits,
)
from symphainy_simulation.plants.plant import Plant, planted

PLANTS: dict[str, Plant] = {
    plant.name: plant
    for plant in (
        *journal.PLANTS,
        *steps.PLANTS,
        *local.PLANTS,
        *waits.PLANTS,
        *cancels.PLANTS,
        *pauses.PLANTS,
        *replays.PLANTS,
        *sagas.PLANTS,
        *children.PLANTS,
        *governance.PLANTS,
        *sessions.PLANTS,
    )
}

__all__ = ["PLANTS", "Plant", "planted"]
