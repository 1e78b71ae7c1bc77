"""`symphainy capability …`: who may answer which intent type, from the configuration in force."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, show_json, show_table
from symphainy_runtime.configuration import ConfigReader, Configuration
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Capability

app = typer.Typer(help="Capabilities.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="capability")


@app.command("list")
def list_(
    realm: Annotated[str, typer.Option(help="Only of this realm.")] = "", json: Json = False
) -> None:
    """List the capabilities in force."""
    found = sorted(_configuration().capabilities.values(), key=lambda one: one.name)
    shown = [one for one in found if not realm or one.realm == realm]
    if json:
        show_json([_document(one) for one in shown])
        return
    show_table(
        ("intent type", "version", "realm", "handler", "attempts", "limits", "description"),
        [
            (c.name, c.version, c.realm, c.handler, c.attempts, _limits(c), c.description)
            for c in shown
        ],
    )


@app.command()
def show(
    intent_type: Annotated[str, typer.Argument(help="realm.action")],
    version: Annotated[int, typer.Option(help="Version; 0 for the one in force.")] = 0,
) -> None:
    """Show a capability with its contracts, as JSON."""
    configuration = _configuration()
    found = (
        configuration.versions.get((intent_type, version))
        if version
        else configuration.capabilities.get(intent_type)
    )
    if found is None:
        raise CallerError(
            f"There is no capability {intent_type}{f' version {version}' if version else ''}.",
            code="capability_not_found",
            cure="See `symphainy capability list`.",
        )
    show_json(_document(found))


def _configuration() -> Configuration:
    reader = ConfigReader(kafka_settings(), "symphainy-capability")
    reader.catch_up()
    reader.close()
    return reader.configuration


def _document(capability: Capability) -> dict[str, Any]:
    document = {name: getattr(capability, name) for name in capability.__struct_fields__}
    for name in ("input_contract", "output_contract"):
        document[name] = msgspec.Raw(document[name]) if document[name] else None
    return document


def _limits(capability: Capability) -> str:
    """Its limits in time, in ms."""
    limits = {
        "timeout": capability.timeout_ms,
        "heartbeat": capability.heartbeat_ms,
        "deadline": capability.deadline_ms,
    }
    return ", ".join(f"{name} {ms}" for name, ms in limits.items() if ms) or "none"
