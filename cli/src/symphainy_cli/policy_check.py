"""`symphainy policy check`: what policy says of one intent, and why; nothing is stated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, out, show_json, show_table
from symphainy_cli.policies import app, read_folder
from symphainy_runtime.configuration import read_configuration
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.telling import decision_document
from symphainy_runtime.policy.writing import newest
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PLATFORM, Intent, PolicyDecision, PolicySet, StageDecision
from symphainy_schemas.state import SessionState
from symphainy_transport.clock import SystemClock


@app.command()
def check(
    intent_type: Annotated[str, typer.Argument(help="What is attempted: content.ingest_file.")],
    tenant: Annotated[str, typer.Option(help="The tenant that attempts it.")],
    principal: Annotated[str, typer.Option(help="Who attempts it.")] = "service",
    role: Annotated[list[str] | None, typer.Option(help="A role of theirs. Repeatable.")] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="An attribute of theirs: name=value, the value as JSON. Repeatable."),
    ] = None,
    payload: Annotated[str, typer.Option(help="JSON, or @file.")] = "{}",
    priority: Annotated[int, typer.Option(help="1 first to 5 last.")] = 3,
    opened_by: Annotated[str, typer.Option(help="Who opened the session; they themselves.")] = "",
    candidate: Annotated[
        Path | None, typer.Option(help="Folder of policies to try in place of the tenant's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether an intent would be let pass, stage by stage, and which policies decide that.

    By the newest policies of the tenant and the platform; a candidate takes the place of the
    tenant's. Exits 1 if it would be refused.
    """
    known = read_configuration(kafka_settings(), "symphainy-policy")
    if tenant not in known.tenants:
        raise CallerError(
            f"There is no tenant {tenant!r}.", code="tenant_not_found", field="--tenant"
        )
    own = newest(known, tenant) if candidate is None else read_folder(tenant, candidate)
    policies = Policies(newest(known, PLATFORM) or BUILT_IN, own)
    now = SystemClock().now_ms()
    intent = _intent(
        intent_type, tenant, principal, role or [], attribute or [], payload, priority, now
    )
    session = SessionState(
        session_id=intent.session_id,
        tenant_id=tenant,
        principal=opened_by or principal,
        attributes=b"{}",
        opened_at=now,
    )
    decision = policies.decide(Facts(intent, now, known.tenants[tenant], session))
    _show(decision, own, json)
    if not decision.allowed:
        raise typer.Exit(1)


def _intent(
    intent_type: str,
    tenant: str,
    principal: str,
    roles: list[str],
    attributes: list[str],
    payload: str,
    priority: int,
    now: int,
) -> Intent:
    stated = Path(payload[1:]).read_bytes() if payload.startswith("@") else payload.encode()
    try:
        is_object = isinstance(msgspec.json.decode(stated), dict)
    except msgspec.DecodeError:
        is_object = False
    if not is_object:
        raise CallerError(
            "The payload is no JSON object.", code="payload_malformed", field="--payload"
        )
    return Intent(
        intent_id=ids.new_intent_id(),
        intent_type=intent_type,
        realm=intent_type.split(".", 1)[0],
        session_id=ids.new_session_id(tenant, 1),
        tenant_id=tenant,
        principal=principal,
        correlation_id="",
        payload=stated,
        metadata=b"{}",
        solution_context=b"",
        created_at=now,
        priority=priority,
        roles=tuple(roles),
        attributes=msgspec.json.encode(dict(map(_attribute, attributes))),
    )


def _attribute(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise CallerError(
            f"{text!r} is not name=value.",
            code="attribute_malformed",
            field="--attribute",
            cure="Write team=claims, or level=3.",
        )
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value  # a bare word is text


def _show(decision: PolicyDecision, own: PolicySet | None, json: bool) -> None:
    if json:
        show_json(decision_document(decision))
        return
    own_version = "none of its own" if own is None else f"version {own.version or 'candidate'}"
    out.print(f"platform version {decision.platform_version}; tenant: {own_version}")
    show_table(("stage", "decision", "policies", "reasons"), list(map(_row, decision.stages)))
    out.print("[green]allowed[/]" if decision.allowed else "[red]refused[/]")


def _row(stage: StageDecision) -> tuple[str, str, str, str]:
    allowed = "allowed" if stage.allowed else "refused"
    return stage.stage, allowed, "\n".join(stage.policies), "\n".join(stage.reasons)
