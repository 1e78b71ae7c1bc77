"""`symphainy tenant …`: tenants and their limits."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from symphainy_cli.connection import kafka_settings
from symphainy_cli.lazily import load
from symphainy_cli.output import Json, out, show_json, show_table
from symphainy_cli.tenant_records import (
    Change,
    attributes_of,
    budgets_of,
    change_tenant,
    create_tenant,
    existing,
    tenants_of,
)
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Tenant
from symphainy_transport.clock import SystemClock

app = typer.Typer(help="Tenants and their limits.", no_args_is_help=True)
DAY_MS = 86_400_000
Id = Annotated[str, typer.Argument(help="The tenant.", show_default=False)]
Name = Annotated[str | None, typer.Option("--display-name", help="For people.")]
Shard = Annotated[
    int | None,
    typer.Option("--shard-size", help="On how many partitions it lives, for good; 0: all."),
]
Weight = Annotated[
    int | None, typer.Option(help="Share of a realm's dispatches beside other tenants; from 1.")
]
Concurrency = Annotated[
    int | None,
    typer.Option(help="Steps outstanding at once, split over its partitions; 0: no limit."),
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Intents a second, of all gateways; 0: no limit.")
]
Burst = Annotated[
    int | None, typer.Option(help="Intents at once; 0: one second's worth of the rate.")
]
Budgets = Annotated[
    list[str] | None,
    typer.Option("--budget", help="hour=…, day=… or month=… intents, in UTC; none: no budget."),
]
Payload = Annotated[int | None, typer.Option(help="Largest payload; 0: what the gateway takes.")]
Storage = Annotated[
    int | None, typer.Option(help="Bytes of large payloads in the object store; 0: no limit.")
]
Dedupe = Annotated[
    float | None,
    typer.Option("--dedupe-window-days", help="How long an intent id is known; 0: as owners say."),
]
Attributes = Annotated[
    list[str] | None,
    typer.Option("--attribute", help="name=value that policies may ask: residency=eu."),
]
Unsigned = Annotated[
    bool | None,
    typer.Option(
        "--unsigned/--signed-only", help="Whether intents count that no gateway took or key signed."
    ),
]


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    load("tenant_standing")  # whose verbs add themselves
    load("tenant_privacy")
    parent.add_typer(app, name="tenant")


@app.command()
def create(
    tenant: Id,
    display_name: Name = None,
    shard_size: Shard = None,
    weight: Weight = None,
    max_concurrency: Concurrency = None,
    rate: Rate = None,
    burst: Burst = None,
    budget: Budgets = None,
    max_payload_bytes: Payload = None,
    storage_bytes: Storage = None,
    dedupe_window_days: Dedupe = None,
    attribute: Attributes = None,
    unsigned: Unsigned = None,
    json: Json = False,
) -> None:
    """Create a tenant. Without options it has no limits and lives on every partition."""
    new = Tenant(
        tenant_id=tenant,
        version=1,
        display_name=display_name or tenant,
        shard_size=shard_size or 0,
        created_at=SystemClock().now_ms(),
    )
    change = _change(
        budget,
        attribute,
        weight=weight,
        max_concurrency=max_concurrency,
        rate_per_s=rate,
        burst=burst,
        max_payload_bytes=max_payload_bytes,
        storage_bytes=storage_bytes,
        dedupe_window_ms=_ms(dedupe_window_days),
        unsigned=unsigned,
    )
    _tell(create_tenant(kafka_settings(), change(new)), json)


@app.command()
def limits(
    tenant: Id,
    display_name: Name = None,
    shard_size: Shard = None,
    weight: Weight = None,
    max_concurrency: Concurrency = None,
    rate: Rate = None,
    burst: Burst = None,
    budget: Budgets = None,
    max_payload_bytes: Payload = None,
    storage_bytes: Storage = None,
    dedupe_window_days: Dedupe = None,
    attribute: Attributes = None,
    unsigned: Unsigned = None,
    json: Json = False,
) -> None:
    """Change a tenant's limits: those that are stated. They hold from the next intent on."""
    if shard_size is not None:
        raise CallerError(
            "On how many partitions a tenant lives is for good: with another number its sessions "
            "would be looked for where they are not.",
            code="shard_size_fixed",
            field="shard-size",
            cure="Create another tenant with that number, and move to it.",
        )
    change = _change(
        budget,
        attribute,
        display_name=display_name,
        weight=weight,
        max_concurrency=max_concurrency,
        rate_per_s=rate,
        burst=burst,
        max_payload_bytes=max_payload_bytes,
        storage_bytes=storage_bytes,
        dedupe_window_ms=_ms(dedupe_window_days),
        unsigned=unsigned,
    )
    _tell(change_tenant(kafka_settings(), tenant, change), json)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the tenants and their limits."""
    found = sorted(tenants_of(kafka_settings()).values(), key=lambda one: one.tenant_id)
    if json:
        show_json([document(one) for one in found])
        return
    shown = [document(one) for one in found]
    columns = (
        "tenant_id",
        "version",
        "shard_size",
        "weight",
        "max_concurrency",
        "rate_per_s",
        "burst",
        "budgets",
        "max_payload_bytes",
        "storage_bytes",
        "attributes",
    )
    titles = [one.removesuffix("_id").replace("_", " ") for one in columns]
    show_table(titles, [[_cell(one[name]) for name in columns] for one in shown])


@app.command()
def show(tenant: Id, json: Json = False) -> None:
    """Show a tenant and its limits."""
    _tell(existing(kafka_settings(), tenant), json)


@app.command()
def recount(tenant: Id, json: Json = False) -> None:
    """Count anew what a tenant has in the object store, for its limit of storage.

    After objects were deleted, after Redis lost its memory, or to count artifacts that handlers
    stored. What gateways upload meanwhile may be missed, or counted twice.
    """
    from symphainy_cli.recounting import recounted

    settings = kafka_settings()
    existing(settings, tenant)
    total = asyncio.run(recounted(settings, tenant))
    if json:
        show_json({"tenant_id": tenant, "stored_bytes": total})
    else:
        out.print(f"{tenant} has {total} bytes in the object store", highlight=False)


def document(tenant: Tenant) -> dict[str, Any]:
    """A tenant as programs are told it."""
    told: dict[str, Any] = msgspec.to_builtins(tenant, builtin_types=(bytes,))
    told["budgets"] = {one.period: one.intents for one in tenant.budgets}
    told["attributes"] = msgspec.json.decode(tenant.attributes) if tenant.attributes else {}
    return told


def _change(budget: list[str] | None, attribute: list[str] | None, **stated: Any) -> Change:
    """What makes of a tenant the one with what was stated; None was not."""
    changes = {name: value for name, value in stated.items() if value is not None}
    if budget:
        changes["budgets"] = budgets_of(budget)

    def change(before: Tenant) -> Tenant:
        attributes = attributes_of(before.attributes, attribute or ())
        return replace(before, **changes, attributes=attributes)

    return change


def _ms(days: float | None) -> int | None:
    return None if days is None else round(days * DAY_MS)


def _tell(tenant: Tenant, json: bool) -> None:
    told = document(tenant)
    if json:
        show_json(told)
    else:
        rows = [(name.replace("_", " "), _cell(value)) for name, value in told.items()]
        show_table(("what", tenant.tenant_id), rows)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return "" if value == 0 and value is not False else str(value)
