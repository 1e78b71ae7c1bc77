"""How each version of a capability stands: in force, on its way in, or on its way out. Pure.

The configuration says which versions there are and what workers have said that they serve, the
realms' groups say which workers live, and the read model says how many executions have a version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from symphainy_runtime.configuration import Configuration
from symphainy_schemas.records import Capability, ServedVersions, Serving

Version = tuple[str, int]
"""A capability's name, and the number."""


class VersionState(StrEnum):
    """Where a version is on its way from its registration to its last execution."""

    ROLLING_OUT = "rolling_out"
    SERVING = "serving"
    UNSERVED = "unserved"
    DRAINING = "draining"
    RETIRED = "retired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """One version of a capability.

    `workers` of the realm's `realm_workers` live ones serve it, and `silent` ones do not say what
    they serve. `executions` have it and have not ended; None while the read model does not tell.
    """

    capability: Capability
    state: VersionState
    workers: int
    realm_workers: int
    silent: int
    executions: int | None
    newest: bool
    current: bool
    """Whether it is the own version of a live worker's code."""

    @property
    def stranded(self) -> bool:
        """Whether executions wait for a worker that is not there. Plans wait for none."""
        needed = bool(self.executions) and not self.capability.plan
        return needed and not self.workers and not self.silent

    @property
    def of_interest(self) -> bool:
        """Whether it is in force, or somebody has something to do with it still."""
        return self.newest or self.current or self.state is not VersionState.RETIRED


def standings(
    known: Configuration,
    living: Mapping[str, Iterable[str]],
    executions: Mapping[Version, int] | None,
) -> tuple[Standing, ...]:
    """All versions, by name and number.

    Args:
        known: the configuration in force.
        living: the worker ids of the members of each realm's group.
        executions: how many live executions have a version; None where that is not known.
    """
    crews = {realm: _crew(realm, known, ids) for realm, ids in living.items()}
    nobody = _Crew((), 0)
    return tuple(
        _standing(one, known, crews.get(one.realm, nobody), executions)
        for _, one in sorted(known.versions.items())
    )


@dataclass(frozen=True, slots=True)
class _Crew:
    """A realm's live workers: what those that say it serve, and how many do not."""

    serving: tuple[Serving, ...]
    silent: int


def _crew(realm: str, known: Configuration, ids: Iterable[str]) -> _Crew:
    said = {one.worker_id: one for one in known.serving.values() if one.realm == realm}
    members = Counter(ids)
    heard = tuple(said[one] for one in members.elements() if one in said)
    return _Crew(heard, members.total() - len(heard))


def _standing(
    one: Capability,
    known: Configuration,
    crew: _Crew,
    executions: Mapping[Version, int] | None,
) -> Standing:
    rows = [
        row for worker in crew.serving for row in worker.versions if row.intent_type == one.name
    ]
    workers = sum(_serves(row, one.version) for row in rows)
    realm_workers = len(crew.serving) + crew.silent
    live = None if executions is None else executions.get((one.name, one.version), 0)
    newest = known.capabilities[one.name].version == one.version
    if newest:
        state = _in_force(workers, realm_workers, crew.silent)
    elif live is None:
        state = VersionState.UNKNOWN
    else:
        state = VersionState.DRAINING if live else VersionState.RETIRED
    return Standing(
        capability=one,
        state=state,
        workers=workers,
        realm_workers=realm_workers,
        silent=crew.silent,
        executions=live,
        newest=newest,
        current=any(row.newest == one.version for row in rows),
    )


def _serves(row: ServedVersions, version: int) -> bool:
    return row.oldest <= version <= row.newest


def _in_force(workers: int, realm_workers: int, silent: int) -> VersionState:
    if workers == realm_workers and workers:
        return VersionState.SERVING
    return VersionState.ROLLING_OUT if workers or silent else VersionState.UNSERVED
