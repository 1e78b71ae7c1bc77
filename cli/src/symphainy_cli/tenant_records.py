"""Tenants as records: what an operator may state of one, and how a change gets in force. No screen.

A change is a new version beside the old ones. Only a higher version is adopted, and of two with the
same number the first in the log; but the log is compacted by that very key, and would keep the
second. So whoever writes reads back, and writes once more, on top of what won, until a version of
his own is in force: no operator's change is lost, and no number stays ambiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from symphainy_runtime.configuration import read_configuration, write_config
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import PLATFORM, Budget, Tenant

PERIODS = ("hour", "day", "month")
TRIES = 10
_LARGEST = 2**31 - 1  # of Avro's int
_LARGEST_LONG = 2**53 - 1  # beyond it JSON's readers, and Redis' Lua, lose digits
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "shard_size": (0, _LARGEST),
    "weight": (1, _LARGEST),
    "max_concurrency": (0, _LARGEST),
    "rate_per_s": (0, 1_000_000),
    "burst": (0, _LARGEST),
    "max_payload_bytes": (0, _LARGEST_LONG),
    "storage_bytes": (0, _LARGEST_LONG),
    "dedupe_window_ms": (0, _LARGEST_LONG),
}
Change = Callable[[Tenant], Tenant]


def require_tenant_id(tenant_id: str) -> None:
    """Raises `CallerError` if no tenant can have that id."""
    if ids.TENANT_ID.fullmatch(tenant_id) is None:
        raise CallerError(
            f"{tenant_id[:80]!r} cannot be a tenant's id.",
            code="tenant_id_malformed",
            field="tenant",
            cure="Use 1 to 63 of a-z 0-9 and -, not beginning with -.",
        )
    if tenant_id == PLATFORM:
        raise CallerError(
            f"{PLATFORM} is the scope of what holds for every tenant.",
            code="tenant_id_reserved",
            field="tenant",
            cure="Choose another id.",
        )


def require_sound(tenant: Tenant) -> None:
    """Raises `CallerError` for the first limit that has no meaning."""
    for name, (least, most) in _BOUNDS.items():
        value: float = getattr(tenant, name)
        if not (math.isfinite(value) and least <= value <= most):
            raise _unsound(name, f"{value} is not possible.", f"State {least:g} to {most:g}.")
    if tenant.burst and not tenant.rate_per_s:
        raise _unsound("burst", "A burst needs a rate.", "State --rate too, or --burst 0.")


def budgets_of(stated: Sequence[str]) -> tuple[Budget, ...]:
    """The budgets in `period=intents` each; `none` alone is none.

    Raises:
        CallerError: one of them is none, or a period is there twice.
    """
    if list(stated) == ["none"]:
        return ()
    found: dict[str, Budget] = {}
    for one in stated:
        period, _, number = one.partition("=")
        fits = number.isascii() and number.isdigit() and int(number) <= _LARGEST_LONG
        if period not in PERIODS or period in found or not fits:
            raise _unsound(
                "budget",
                f"{one[:80]!r} is no budget, or the second of its period.",
                f"State {', '.join(f'{period}=<intents>' for period in PERIODS)}, each at most "
                "once, or none.",
            )
        found[period] = Budget(period, int(number))
    return tuple(found[period] for period in PERIODS if period in found)


def attributes_of(before: bytes, stated: Sequence[str]) -> bytes:
    """The attributes with each `name=value` that is stated; an empty value takes one away.

    Raises:
        CallerError: one of them is not of that form.
    """
    attributes: dict[str, Any] = msgspec.json.decode(before) if before else {}
    for one in stated:
        name, equals, value = one.partition("=")
        if not (equals and name.isidentifier()):
            raise _unsound(
                "attribute", f"{one[:80]!r} is no attribute.", "State name=value: residency=eu."
            )
        if value:
            attributes[name] = value
        else:
            attributes.pop(name, None)
    return msgspec.json.encode(attributes, order="sorted") if attributes else b""


def tenants_of(settings: RuntimeSettings) -> dict[str, Tenant]:
    """Every tenant in force.

    Raises:
        Unavailable: Kafka did not answer.
    """
    return read_configuration(settings, "symphainy-tenant").tenants


def existing(settings: RuntimeSettings, tenant_id: str) -> Tenant:
    """The tenant in force.

    Raises:
        CallerError: there is none.
        Unavailable: Kafka did not answer.
    """
    require_tenant_id(tenant_id)
    found = tenants_of(settings).get(tenant_id)
    if found is None:
        raise CallerError(
            f"There is no tenant {tenant_id}.",
            code="tenant_not_found",
            field="tenant",
            cure=f"Create it: symphainy tenant create {tenant_id}.",
        )
    return found


def create_tenant(settings: RuntimeSettings, tenant: Tenant) -> Tenant:
    """Write the tenant's first version; it is in force when this returns.

    Raises:
        CallerError: the id or a limit has no meaning, or the tenant exists.
        Unavailable: Kafka did not answer; unknown whether it was taken: look with `tenant show`.
    """
    require_tenant_id(tenant.tenant_id)
    require_sound(tenant)
    if tenant.tenant_id not in tenants_of(settings):
        write_config(settings, tenant)
        if tenants_of(settings).get(tenant.tenant_id) == tenant:
            return tenant
        # Another's came first, under the same key: settle it, see the module's words.
        change_tenant(settings, tenant.tenant_id, lambda before: before)
    raise CallerError(
        f"Tenant {tenant.tenant_id} exists.",
        code="tenant_exists",
        field="tenant",
        cure="Choose another id, or change it: symphainy tenant limits.",
    )


def change_tenant(settings: RuntimeSettings, tenant_id: str, change: Change) -> Tenant:
    """Write what `change` makes of the tenant as its next version, and see it in force.

    Raises:
        CallerError: there is no such tenant, or a limit has no meaning.
        Unavailable: Kafka did not answer, or others kept changing it.
    """
    for _ in range(TRIES):
        before = existing(settings, tenant_id)
        changed = replace(change(before), version=before.version + 1)
        require_sound(changed)
        write_config(settings, changed)
        if existing(settings, tenant_id) == changed:
            return changed
    raise Unavailable(
        f"Tenant {tenant_id} was changed by others {TRIES} times meanwhile.",
        code="tenant_contended",
        cure="Look with `symphainy tenant show`, and state the change again.",
    )


def _unsound(field: str, message: str, cure: str) -> CallerError:
    return CallerError(message, code="limit_malformed", field=field, cure=cure)
