"""Which versions of what it declares a worker has, takes, and says that it takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from symphainy.errors import DeclarationError
from symphainy.options import Serves
from symphainy.realm import Realm
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import Capability, ServedVersions, Serving

# What a member of the group said stays true while it lives, and one that was away comes back within
# minutes: what is removed this late belongs to a process that was killed. Nobody reads it before.
_FORGOTTEN_MS = 86_400_000


def is_same(ours: Capability, registered: Capability) -> bool:
    """Whether a registered version has this code's contract, whoever registered it and when."""
    return registered == msgspec.structs.replace(
        ours,
        version=registered.version,
        registered_at=registered.registered_at,
        registered_by=registered.registered_by,
    )


def successor(ours: Capability, newest: Capability | None) -> Capability:
    """The newest version if its contract is the same, else the next version of ours."""
    if newest is not None and is_same(ours, newest):
        return newest
    return msgspec.structs.replace(ours, version=1 if newest is None else newest.version + 1)


def registered(ours: Capability, known: Iterable[Capability]) -> Capability:
    """The newest version that has this code's contract: what a worker that only drains serves.

    Raises:
        OperatorError: no version has it.
    """
    same = [one for one in known if is_same(ours, one)]
    if not same:
        raise OperatorError(
            f"No registered version of {ours.name} has the contract of this code, so there is "
            "nothing of it to drain.",
            code="version_not_registered",
            cure="Start the code that was deployed then, or leave out --draining to put this one "
            "in force.",
        )
    return max(same, key=lambda one: one.version)


def served(realm: Realm, versions: Mapping[str, int]) -> tuple[ServedVersions, ...]:
    """What a worker takes whose code has these versions.

    Raises:
        DeclarationError: a handler serves versions from one on that is newer than its own.
    """
    rows = [(one.intent_type, one.options.serves) for one in realm]
    rows += [(plan.intent_type, "older") for plan in realm.plans]
    return tuple(
        ServedVersions(
            intent_type=name, oldest=_oldest(name, serves, versions[name]), newest=versions[name]
        )
        for name, serves in rows
    )


def _oldest(name: str, serves: Serves, version: int) -> int:
    if serves == "older":
        return 1
    if serves == "own":
        return version
    if serves > version:
        raise DeclarationError(
            f"{name}: serves={serves} leaves nothing to serve, for this code is version {version}.",
            code="bad_serves",
            cure=f'Use 1 to {version}, "older" or "own"; `symphainy capability list --all` tells '
            "the versions.",
        )
    return serves


def forgotten(
    serving: Mapping[bytes, Serving], members: Sequence[str], now: int
) -> tuple[bytes, ...]:
    """The keys of what killed workers have left behind."""
    return tuple(key for key, one in old(serving, now).items() if one.worker_id not in members)


def old(serving: Mapping[bytes, Serving], now: int) -> dict[bytes, Serving]:
    """What was said so long ago that whoever said it may be gone for good."""
    return {key: one for key, one in serving.items() if now - one.registered_at > _FORGOTTEN_MS}
