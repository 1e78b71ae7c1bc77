"""`symphainy key …`: credentials of tenants. Docs: docs/identity.md."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from symphainy_cli.connection import kafka_settings
from symphainy_cli.everywhere import everywhere, require_taken
from symphainy_cli.key_options import attributes_of, end_of, named, overlap_of, scopes_of
from symphainy_cli.output import Json, err, out, show_json, show_table
from symphainy_cli.tenant_records import require_tenant_id
from symphainy_runtime import api_keys
from symphainy_runtime.api_keys import KeyOptions
from symphainy_runtime.key_store import KeyStore
from symphainy_runtime.policy.actions import REVOKE_KEY
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import ApiKey, Tenant
from symphainy_transport.clock import SystemClock
from symphainy_transport.credentials import key_status
from symphainy_transport.signing import SigningKey

app = typer.Typer(help="API keys.", no_args_is_help=True)
_clock = SystemClock()
KeyId = Annotated[str, typer.Argument(help="The key's id: what stands between the underscores.")]
Expires = Annotated[str, typer.Option(help='"90d", a time with its zone, or "never".')]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="Where a signing key's private part goes, instead of being printed."),
]


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="key")


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The tenant; created if it is new.")],
    principal: Annotated[str, typer.Option(help="Who will call with the key.")] = "service",
    role: Annotated[
        list[str] | None, typer.Option(help="A role of the principal; repeatable.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it is for: content.*, runtime.cancel, read; none: everything."),
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="name=value, for policies; repeatable.")
    ] = None,
    expires: Expires = "never",
    description: Annotated[str, typer.Option(help="For people.")] = "",
    signing: Annotated[
        bool, typer.Option("--signing", help="An Ed25519 pair that signs intents instead.")
    ] = False,
    private_key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Create an API key and print it once: only its hash is kept."""
    options = KeyOptions(
        tenant_id=_tenant(tenant),
        principal=named("principal", principal),
        roles=tuple(dict.fromkeys(named("role", one) for one in role or ())),
        scopes=scopes_of(scope or ()),
        attributes=attributes_of(attribute or ()),
        expires_at=end_of(expires, _clock.now_ms()),
        description=named("description", description) if description else "",
    )
    with KeyStore(kafka_settings()) as store:
        made = _make(store, options, signing=signing, file=private_key_file)
    _show_made(made, json)


@app.command("list")
def list_keys(
    tenant: Annotated[str, typer.Option(help="Only of this tenant.")] = "", json: Json = False
) -> None:
    """List keys, without their secrets, which nobody keeps."""
    with KeyStore(kafka_settings()) as store:
        keys = [key for key in store.keys.values() if tenant in ("", key.tenant_id)]
    keys.sort(key=lambda key: (key.tenant_id, key.principal, key.created_at))
    shown = [shown_key(key, _clock.now_ms()) for key in keys]
    if json:
        show_json(shown)
        return
    columns = ("key id", "tenant", "principal", "status", "kind", "roles", "scopes", "expires")
    show_table(
        (*columns, "description"),
        [
            (
                *(one[name] for name in ("key_id", "tenant_id", "principal", "status", "kind")),
                ", ".join(one["roles"]),
                ", ".join(one["scopes"]) or "everything",
                one["expires_at"] or "never",
                one["description"],
            )
            for one in shown
        ],
    )


@app.command()
def revoke(key_id: KeyId, json: Json = False) -> None:
    """Revoke a key for good.

    Running gateways refuse it within a second; owners refuse what stands behind the revocation in
    the write-ahead log, whoever wrote it there. Once more does no harm.
    """
    settings = kafka_settings()
    with KeyStore(settings) as store:
        key = store.key(key_id)
        if not key.revoked:
            key = store.change(key_id, api_keys.revoked)
    require_taken(everywhere(settings, REVOKE_KEY, key.tenant_id, {"key_id": key.key_id}))
    if json:
        show_json(shown_key(key, _clock.now_ms()))
    else:
        out.print(f"revoked {key.key_id} of {key.principal} ({key.tenant_id})", highlight=False)


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old key still counts.")] = "24h",
    expires: Annotated[
        str, typer.Option(help="Of the new key; as long as the old one had by default.")
    ] = "",
    private_key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Create a key in another's place, for the same principal with the same roles and scopes.

    The old one counts until the overlap is over.
    """
    overlap_ms, now = overlap_of(overlap), _clock.now_ms()
    with KeyStore(kafka_settings()) as store:
        old = store.key(key_id)
        options = api_keys.succeeded(old, now, overlap_ms)
        if expires:
            options = replace(options, expires_at=end_of(expires, now))
        made = _make(store, options, signing=bool(old.public_key), file=private_key_file)
        old = store.change(key_id, lambda key: api_keys.expiring(key, now + overlap_ms))
    _show_made(made, json, replaces=old.key_id, replaced_expires_at=_moment(old.expires_at))
    if not json:
        err.print(f"{old.key_id} counts until {_moment(old.expires_at)}", highlight=False)


def create_key(
    settings: RuntimeSettings, tenant: str, principal: str, roles: tuple[str, ...] = ()
) -> str:
    """A fresh key for the tenant, which is created if it is new.

    Raises:
        CallerError: no such name can be a tenant's.
    """
    options = KeyOptions(tenant_id=_tenant(tenant), principal=principal, roles=roles)
    with KeyStore(settings) as store:
        return _make(store, options).text


def shown_key(key: ApiKey, now_ms: int) -> dict[str, Any]:
    """A key as programs are told of it: no secret, nor its hash."""
    return {
        "key_id": key.key_id,
        "version": key.version,
        "tenant_id": key.tenant_id,
        "principal": key.principal,
        "status": key_status(key, now_ms).value,
        "kind": "signing" if key.public_key else "bearer",
        "roles": key.roles,
        "scopes": key.scopes,
        "attributes": msgspec.json.decode(key.attributes) if key.attributes else {},
        "created_at": _moment(key.created_at),
        "expires_at": _moment(key.expires_at),
        "description": key.description,
    }


class _Made(msgspec.Struct, frozen=True):
    """A key that was made, and what is shown of it once: its text, or its private part."""

    record: ApiKey
    text: str
    private_pem: str
    file: Path | None


def _make(
    store: KeyStore, options: KeyOptions, *, signing: bool = False, file: Path | None = None
) -> _Made:
    if file is not None and not signing:
        raise CallerError(
            "Only a signing key has a private part.",
            code="invalid_option",
            field="--private-key-file",
            cure="Add --signing, or leave it out.",
        )
    now, key_id, private_pem = _clock.now_ms(), api_keys.new_key_id(), ""
    if signing:
        pair = SigningKey.generate(key_id)
        options, private_pem = replace(options, public_key=pair.public), pair.private_pem()
        if file is not None:  # before the record: a key whose private part is nowhere is no use
            _keep(file, private_pem)
    text, record = api_keys.new_key(options, now, key_id)
    tenant = options.tenant_id
    new_tenant = Tenant(
        tenant_id=tenant, version=1, display_name=tenant, shard_size=0, created_at=now
    )
    store.write(*(() if tenant in store.tenants else (new_tenant,)), record)
    return _Made(record, text, private_pem, file)


def _keep(file: Path, private_pem: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CallerError(
            f"{file} cannot be made: {error.strerror}.",
            code="invalid_option",
            field="--private-key-file",
            cure="Name a file that is not there yet, in a folder that is.",
        ) from error
    with os.fdopen(descriptor, "w") as out_file:
        out_file.write(private_pem)


def _show_made(made: _Made, json: bool, **more: Any) -> None:
    if json:
        secret: dict[str, Any] = {"key": made.text} if made.text else {}
        if made.private_pem:
            secret = (
                {"private_key_file": str(made.file)}
                if made.file
                else {"private_key": made.private_pem}
            )
        show_json({**secret, **shown_key(made.record, _clock.now_ms()), **more})
        return
    if made.private_pem:
        err.print(f"key id: {made.record.key_id}", highlight=False)
        told = f"private key in {made.file}" if made.file else made.private_pem.rstrip()
    else:
        told = made.text
    out.print(told, highlight=False, soft_wrap=True)


def _tenant(tenant: str) -> str:
    require_tenant_id(tenant)
    return tenant


def _moment(at_ms: int) -> str | None:
    """ISO 8601 in UTC; None for 0."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat() if at_ms else None
