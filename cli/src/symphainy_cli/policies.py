"""`symphainy policy …`: which intents may be: written, checked, put in force, looked at."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.everywhere import everywhere
from symphainy_cli.lazily import load
from symphainy_cli.output import Json, err, out, show_json, show_table
from symphainy_runtime.configuration import ConfigReader, read_configuration
from symphainy_runtime.policy.actions import ACTIVATE_POLICY
from symphainy_runtime.policy.checking import Finding
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.reading import texts
from symphainy_runtime.policy.writing import (
    findings,
    newest,
    policy_set,
    restore_policies,
    write_policies,
)
from symphainy_runtime.read_model.governed import in_force
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PLATFORM, PolicySet, Stage
from symphainy_transport.clock import SystemClock

app = typer.Typer(help="Policies: which intents may be.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="The tenant whose policies these are.")]
Platform = Annotated[bool, typer.Option("--platform", help="The platform's, for every tenant.")]
Declared = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        help="An attribute of principals that no key has, such as a token's claim: name=Type, with "
        "String, Long, Boolean or Set<String>; session.name=Type is one of sessions. Repeatable.",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(
        help="Folder with security_guard.cedar, city_manager.cedar and data_steward.cedar; a file "
        "that is not there is a stage without policies of one's own."
    ),
]


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    load("policy_check")  # whose verb adds itself
    load("backtesting").add_to(app)
    parent.add_typer(app, name="policy")


@app.command()
def apply(
    folder: Folder,
    tenant: Tenant = "",
    platform: Platform = False,
    note: Annotated[str, typer.Option(help="Why, for people.")] = "",
    declared: Declared = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and change nothing.")] = False,
    restore: Annotated[
        int,
        typer.Option(
            help="Write them as that version, which is in force and missing in `config`; nothing "
            "is checked or activated."
        ),
    ] = 0,
    json: Json = False,
) -> None:
    """Check a set of policies, write it as the next version, and put it in force everywhere.

    Every intent that stands behind the activation in its partition is decided under it. Exits 1
    if something is wrong with the policies, or a partition refuses them.
    """
    scope = scope_of(tenant, platform)
    settings = kafka_settings()
    reader = ConfigReader(settings, "symphainy-policy")
    try:
        reader.catch_up()
        policies = read_folder(scope, folder, note)
        if restore:
            restored = restore_policies(settings, reader, policies, restore)
            _say(json, {"scope": scope, "version": restore}, f"{scope}: version {restored} is back")
            return
        _require_sound(findings(policies, reader.configuration, read_declared(declared)), json)
        if dry_run:
            _say(json, {"scope": scope, "sha256": policies.sha256.hex(), "findings": []}, "sound")
            return
        written = write_policies(settings, reader, policies)
    finally:
        reader.close()
    payload = {"version": written.version, "sha256": written.sha256.hex()}
    verdicts = everywhere(settings, ACTIVATE_POLICY, scope, payload)
    refused = [one for one in verdicts if one.error is not None]
    told = {
        "scope": scope,
        "version": written.version,
        "sha256": written.sha256.hex(),
        "partitions": verdicts,
    }
    where = f"{len(verdicts) - len(refused)} of {len(verdicts)} partitions"
    _say(json, told, f"{scope}: version {written.version} is in force on {where}")
    for one in refused:
        assert one.error is not None
        err.print(f"partition {one.partition}: {one.error.code}: {one.error.message}")
    if refused:
        raise typer.Exit(1)


@app.command("list")
def list_(tenant: Tenant = "", platform: Platform = False, json: Json = False) -> None:
    """List the versions of policies, and where each is in force."""
    settings = kafka_settings()
    configuration = read_configuration(settings, "symphainy-policy")
    wanted = scope_of(tenant, platform) if tenant or platform else None
    known = sorted(configuration.policies.values(), key=lambda x: (x.scope, -x.version))
    known = [one for one in known if wanted in (None, one.scope)]
    force: dict[str, list[int]] = {}
    for scope in {one.scope for one in known} if settings.redis_url else ():
        force[scope] = [one.policy_version for one in in_force(settings, scope)]
    rows = [_listed(one, force.get(one.scope), settings.partitions) for one in known]
    if json:
        show_json(rows)
        return
    names = ("scope", "version", "in force on", "created_by", "note", "sha256")
    show_table(names, [[row[name] for name in names] for row in rows])


def _listed(one: PolicySet, force: list[int] | None, partitions: int) -> dict[str, Any]:
    where = None if force is None else f"{force.count(one.version)} of {partitions}"
    return {
        "scope": one.scope,
        "version": one.version,
        "in force on": where,
        "created_at": one.created_at,
        "created_by": one.created_by,
        "note": one.note,
        "sha256": one.sha256.hex()[:16],
    }


@app.command()
def show(
    tenant: Tenant = "",
    platform: Platform = False,
    version: Annotated[int, typer.Option(help="Which; the newest by default.")] = 0,
    json: Json = False,
) -> None:
    """Print a version of policies, stage by stage. The platform's version 0 is built in."""
    found = find(kafka_settings(), scope_of(tenant, platform), version)
    if json:
        show_json(found)
        return
    for stage, text in texts(found).items():
        out.print(f"[bold]// {stage}[/]")
        out.print(text.strip() or "// none of its own", highlight=False, markup=False)
        out.print()


def find(settings: RuntimeSettings, scope: str, version: int) -> PolicySet:
    """A version of a scope's policies, 0 for the newest; the platform's built-in ones if there is
    none.

    Raises:
        CallerError: there is no such version.
    """
    configuration = read_configuration(settings, "symphainy-policy")
    known = configuration.policies
    found = known.get((scope, version)) if version else newest(configuration, scope)
    if found is None and scope == PLATFORM and not version:
        return BUILT_IN
    if found is None:
        raise CallerError(
            f"There is no version {version} of the policies of {scope}."
            if version
            else f"{scope} has no policies of its own.",
            code="policy_not_found",
            field="version",
            cure="See symphainy policy list.",
        )
    return found


def scope_of(tenant: str, platform: bool) -> str:
    """Whose policies are meant.

    Raises:
        CallerError: neither or both are named.
    """
    if bool(tenant) == platform:
        raise CallerError(
            "Name a tenant, or the platform.",
            code="scope_missing",
            field="--tenant",
            cure="Write --tenant acme, or --platform.",
        )
    return PLATFORM if platform else tenant


def read_folder(scope: str, folder: Path, note: str = "") -> PolicySet:
    """The set that a folder holds.

    Raises:
        CallerError: it holds none, or a file that is no stage's.
    """
    names = {f"{stage}.cedar": stage for stage in Stage}
    files = sorted(folder.glob("*.cedar")) if folder.is_dir() else []
    unknown = [file.name for file in files if file.name not in names]
    if not files or unknown:
        raise CallerError(
            f"{unknown[0]} is no stage." if unknown else f"{folder} holds no policies.",
            code="policy_folder",
            field="folder",
            cure=f"Name the files {', '.join(names)}.",
        )
    read = {names[file.name]: file.read_text() for file in files}
    return policy_set(
        scope, read, note=note, created_by=getpass.getuser(), now_ms=SystemClock().now_ms()
    )


def read_declared(declared: Sequence[str] | None) -> dict[str, str]:
    """Attributes by name, with their types.

    Raises:
        CallerError: one of them is not name=Type.
    """
    found = {}
    for one in declared or ():
        name, equals, kind = one.partition("=")
        if not equals or kind not in ("String", "Long", "Boolean", "Set<String>"):
            raise CallerError(
                f"{one!r} is not name=Type.",
                code="attribute_malformed",
                field="--attribute",
                cure="Write team=String; types are String, Long, Boolean and Set<String>.",
            )
        found[name] = kind
    return found


def _require_sound(found: list[Finding], json: bool) -> None:
    if not found:
        return
    if json:
        show_json({"findings": found})
    else:
        show_table(
            ("stage", "policy", "what is wrong"),
            [(one.stage, one.rule, one.message) for one in found],
            where=err,
        )
    raise typer.Exit(1)


def _say(json: bool, told: Any, text: str) -> None:
    if json:
        show_json(told)
    else:
        out.print(text, highlight=False)
