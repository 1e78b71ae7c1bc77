"""`symphainy tenant encrypt|keys|shred`: whether a tenant's content is sealed, and its end."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_json, show_table
from symphainy_cli.tenant_records import existing
from symphainy_cli.tenants import Id, app
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError, OperatorError
from symphainy_transport.clock import SystemClock

if TYPE_CHECKING:  # brings ciphers
    from symphainy_transport.privacy.keyring import Keyring, Shredded

Required = Annotated[
    bool, typer.Option("--required", help="Refuse what stands in the log unsealed, from now on.")
]
Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@app.command()
def encrypt(tenant: Id, required: Required = False, json: Json = False) -> None:
    """Seal a tenant's content with a new data key; once more makes the next one.

    What older keys sealed stays readable. What stood in the clear before stays in the clear.
    """
    settings = kafka_settings()
    existing(settings, tenant)
    keyring, now = keyring_of(settings), SystemClock().now_ms()
    generation = keyring.create(tenant, required=required, at=now, by=getpass.getuser())
    if json:
        show_json({"tenant_id": tenant, "generation": generation, "required": required})
    else:
        out.print(f"{tenant} is sealed with generation {generation} of its key", highlight=False)


@app.command()
def keys(tenant: Id, json: Json = False) -> None:
    """Show the generations of a tenant's data key, or that its content was shredded. No key."""
    settings = kafka_settings()
    existing(settings, tenant)
    found, shredded = keyring_of(settings).told(tenant)
    shown = [
        {
            "generation": one.generation,
            "required": one.required,
            "created_at": one.created_at,
            "created_by": one.created_by,
        }
        for one in found
    ]
    if json:
        show_json({"tenant_id": tenant, "generations": shown, "shredded": document(shredded)})
        return
    show_table(list(shown[0]) if shown else [], [list(one.values()) for one in shown], tenant)
    if shredded is not None:
        out.print(f"shredded by {shredded.by}: {shredded.reason or 'no reason given'}")


@app.command()
def shred(
    tenant: Id, reason: Reason = "", yes: Yes = False, dry_run: Dry = False, json: Json = False
) -> None:
    """Make every copy of a tenant's content unreadable, for good; its history stays verifiable.

    Suspends the tenant in every partition, destroys the key that wraps its data keys, and asks
    what it has under way to end. Once more goes on where it was left, and does no harm.
    """
    settings = kafka_settings()
    existing(settings, tenant)
    keyring = keyring_of(settings)
    found, before = keyring.told(tenant)
    if not found and before is None:
        raise CallerError(
            f"The content of {tenant} is not sealed, so there is no key to destroy.",
            code="tenant_not_encrypted",
            field="tenant",
            cure="What stands in the clear goes with its retention: docs/privacy.md.",
        )
    _say_what(settings, tenant, len(found))
    if dry_run:
        return
    if not yes and typer.prompt(f"Type {tenant} to destroy its keys", err=True) != tenant:
        raise CallerError(
            "That is not its name; nothing was done.", code="not_confirmed", field="tenant"
        )
    from symphainy_cli.shredding import shredded

    told = shredded(settings, keyring, tenant, reason)
    if json:
        show_json(told)
    else:
        out.print(
            f"{tenant} is shredded: suspended on {len(told['partitions'])} partitions, "
            f"{told['ending']} executions asked to end",
            highlight=False,
        )


def keyring_of(settings: RuntimeSettings) -> Keyring:
    """The data keys of tenants.

    Raises:
        OperatorError: no key service is set.
    """
    if settings.key_folder is None:
        raise OperatorError(
            "No key service is set.",
            code="keys_not_set",
            field="key_folder",
            cure="Set SYMPHAINY_KEY_FOLDER, for every process of the system.",
        )
    from symphainy_transport.privacy import connecting

    return connecting.keyring_of(settings)


def document(shredded: Shredded | None) -> dict[str, Any] | None:
    """A shredding as programs are told it."""
    return None if shredded is None else msgspec.to_builtins(shredded)


def _say_what(settings: RuntimeSettings, tenant: str, generations: int) -> None:
    lines = (
        f"Tenant {tenant}: {generations} generations of its data key, wrapped by "
        f"{settings.key_folder}/{tenant}.key.",
        f"1. {tenant} is suspended in each of {settings.partitions} partitions, on record.",
        "2. That key file is overwritten and removed. Payloads, results and artifacts can then be "
        "read by nobody, wherever they are copied.",
        f"3. Processes that hold keys forget them within {settings.key_cache_s:g} s.",
        "4. What it has under way is asked to end.",
        "Not touched: what was stored before `tenant encrypt`, names, ids, types, times, metadata "
        "of artifacts, reasons, attributes.",
    )
    for line in lines:
        err.print(line, highlight=False)
