"""`symphainy capability …`: who may answer which intent type, and how its versions stand."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import asdict

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_error, show_json, show_table
from symphainy_cli.versions import find
from symphainy_runtime.configuration import Configuration, read_configuration
from symphainy_runtime.versions import Standing
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Capability

app = typer.Typer(help="Capabilities.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="capability")


@app.command("list")
def list_(
    realm: Annotated[str, typer.Option(help="Only of this realm.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Retired versions too.")] = False,
    json: Json = False,
) -> None:
    """List the capabilities in force, and the older versions that executions or workers still have.

    rolling_out: the newest, which not every live worker of its realm serves yet. serving: every one
    does. unserved: none does. draining: older, with executions that have not ended. retired: older,
    with none.
    """
    found = find(kafka_settings(), _configuration())
    shown = [
        one
        for one in found.standings
        if (not realm or one.capability.realm == realm) and (every or one.of_interest)
    ]
    if json:
        show_json([_listed(one) for one in shown])
    else:
        show_table(
            (
                "intent type",
                "version",
                "state",
                "workers",
                "live",
                "handler",
                "limits",
                "description",
            ),
            [_row(one) for one in shown],
        )
        _tell(shown)
    if found.doubt is not None:
        err.print("How many executions live is not known:", highlight=False)
        show_error(found.doubt)


def _row(one: Standing) -> tuple[object, ...]:
    c = one.capability
    workers = f"{one.workers} of {one.realm_workers}"
    live = "?" if one.executions is None else f"{one.executions}{' !' if one.stranded else ''}"
    return (c.name, c.version, one.state, workers, live, c.handler, _limits(c), c.description)


def _listed(one: Standing) -> dict[str, Any]:
    return _document(one.capability) | {
        "state": one.state,
        "stranded": one.stranded,
        "workers": one.workers,
        "realm_workers": one.realm_workers,
        "silent_workers": one.silent,
        "live_executions": one.executions,
    }


def _tell(shown: list[Standing]) -> None:
    """What an operator is to look at."""
    for one in shown:
        if one.stranded:
            c = one.capability
            out.print(
                f"! {c.name} version {c.version}: {one.executions} executions have it, and no live "
                f"worker of realm {c.realm} serves it. Start one that does: with the code of that "
                "version and --draining, or with code that serves older versions.",
                highlight=False,
            )
    for realm, silent in sorted({(s.capability.realm, s.silent) for s in shown if s.silent}):
        out.print(
            f"{silent} of the workers of realm {realm} do not say what they serve: they are of an "
            "older release, or just start or stop.",
            highlight=False,
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
    return read_configuration(kafka_settings(), "symphainy-capability")


def _document(capability: Capability) -> dict[str, Any]:
    document = asdict(capability)
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
