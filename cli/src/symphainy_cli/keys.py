"""`symphainy key …`: credentials of tenants."""

from __future__ import annotations

from typing import Annotated

import typer

from symphainy_cli.output import Json, out, show_json
from symphainy_runtime.configuration import ConfigReader, new_api_key, write_config
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Tenant
from symphainy_transport.clock import SystemClock

app = typer.Typer(help="API keys.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="key")


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The tenant; created if it is new.")],
    principal: Annotated[str, typer.Option(help="Who will call with the key.")] = "service",
    json: Json = False,
) -> None:
    """Create an API key and print it once: only its hash is kept."""
    key = create_key(RuntimeSettings.load(), tenant, principal)
    if json:
        show_json({"key": key, "tenant_id": tenant, "principal": principal})
    else:
        out.print(key, highlight=False, soft_wrap=True)


def create_key(settings: RuntimeSettings, tenant: str, principal: str) -> str:
    """A fresh key for the tenant, which is created if it is new.

    Raises:
        CallerError: no such name can be a tenant's.
    """
    if ids.TENANT_ID.fullmatch(tenant) is None:
        raise CallerError(
            f"{tenant!r} cannot be a tenant's id.",
            code="tenant_id_malformed",
            field="tenant",
            cure="Use 1 to 63 of a-z 0-9 and -, not beginning with -.",
        )
    reader = ConfigReader(settings, "symphainy-key")
    reader.catch_up()
    known = tenant in reader.configuration.tenants
    reader.close()
    now = SystemClock().now_ms()
    text, record = new_api_key(tenant, principal, now)
    new_tenant = Tenant(
        tenant_id=tenant, version=1, display_name=tenant, shard_size=0, created_at=now
    )
    write_config(settings, *(() if known else (new_tenant,)), record)
    return text
