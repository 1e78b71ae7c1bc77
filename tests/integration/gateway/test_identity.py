"""Credentials over real parts: the command line, Kafka, a gateway that runs, an issuer on HTTP.

- What the command line creates, rotates and revokes counts at a running gateway, and never shows a
  secret again; of changes at once none is lost.
- A token of an issuer and a key that sign nothing state intents that the log holds sealed.
- What a producer signs, stands in the log as it was signed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import TopicPartition
from msgspec.structs import replace
from tests.support.system import System, eventually, isolated
from tests.unit.gateway.issuer import Issuer
from typer.testing import CliRunner

from symphainy import IntentProducer, SigningKey
from symphainy_cli.main import app
from symphainy_runtime import api_keys
from symphainy_runtime.key_store import KeyStore
from symphainy_runtime.local import Endpoints
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Intent
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.sealing import seal, sealed
from symphainy_transport.signing import verified
from symphainy_transport.topics import INTENTS, Topics

SECRET = "a secret of the processes of one system"


@pytest.fixture(scope="module")
def guarded(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Owner, projector, and a gateway that seals."""
    folder = tmp_path_factory.mktemp("guarded")
    secret = folder / "secret"
    secret.write_text(SECRET)
    settings = isolated(running, folder).model_copy(update={"intent_secret_file": secret})
    one = System(settings)
    for role in ("owner", "projector", "gateway"):
        one.up(role)
    yield one
    one.stop()


def _cli(system: System, *arguments: str) -> Any:
    """The JSON that the command prints."""
    named = {k: v for k, v in system.environment.items() if k.startswith("SYMPHAINY_")}
    done = CliRunner().invoke(app, ["key", *arguments, "--json"], env=named)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _status(system: System, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{system.url}/v1/capabilities", headers=headers).status_code


def _eventually(system: System, key: str, status: int) -> None:
    eventually(lambda: _status(system, key) == status, f"the gateway answers the key with {status}")


def _stated(system: System, session_id: str) -> list[Intent]:
    """Every intent of the session, as the log holds it."""
    settings = system.settings
    topic = Topics(settings.topic_prefix).name(INTENTS)
    place = TopicPartition(topic, ids.partition_of(session_id), 0)
    reader = consumer(settings, "test-identity", auto_offset_reset="earliest")
    _, end = bounds(reader, place)
    reader.assign([place])
    found: list[Intent] = []
    while reader.position([place])[0].offset < end:
        message = reader.poll(0.1)
        if message is not None and message.error() is None:
            found.append(decode(message.value(), Intent))
    reader.close()
    return [intent for intent in found if intent.session_id == session_id]


def test_a_key_lives_as_the_command_line_says(guarded: System) -> None:
    arguments = ("--tenant", "acme", "--principal", "bo", "--role", "reader", "--scope", "read")
    made = _cli(guarded, "create", *arguments, "--attribute", "level=3", "--expires", "90d")
    key, key_id = made["key"], made["key_id"]
    _eventually(guarded, key, 200)
    answer = httpx.post(f"{guarded.url}/v1/sessions", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")

    fresh = _cli(guarded, "rotate", key_id, "--overlap", "1h")
    assert (fresh["replaces"], fresh["principal"]) == (key_id, "bo")
    assert (fresh["roles"], fresh["scopes"]) == (["reader"], ["read"])
    assert fresh["attributes"] == {"level": 3}
    _eventually(guarded, fresh["key"], 200)
    assert _status(guarded, key) == 200

    listed = {one["key_id"]: one for one in _cli(guarded, "list", "--tenant", "acme")}
    assert listed[key_id]["expires_at"] == fresh["replaced_expires_at"] < made["expires_at"]
    for text in (key, fresh["key"]):
        assert text.split("_")[2] not in json.dumps(listed)
    assert _cli(guarded, "list", "--tenant", "rival") == []

    assert _cli(guarded, "revoke", key_id)["status"] == "revoked"
    _eventually(guarded, key, 401)
    assert _status(guarded, fresh["key"]) == 200
    assert _cli(guarded, "revoke", key_id)["version"] == 3  # as it was: nothing was written
    with pytest.raises(CallerError) as refused:
        _cli(guarded, "rotate", key_id)
    assert refused.value.code == "key_not_active"
    with pytest.raises(CallerError) as refused:
        _cli(guarded, "revoke", "nobody")
    assert refused.value.code == "key_not_found"

    without = _cli(guarded, "rotate", fresh["key_id"], "--overlap", "0s", "--expires", "never")
    _eventually(guarded, fresh["key"], 401)
    assert without["expires_at"] is None


def test_what_is_stated_after_a_revocation_is_refused_by_owners_too(guarded: System) -> None:
    """Also what a gateway states that has not read of it yet: it is sealed as by one."""
    made = _cli(guarded, "create", "--tenant", "acme", "--principal", "late")
    session = guarded.open_session()
    _cli(guarded, "revoke", made["key_id"])
    intent = Intent(
        intent_id="after", intent_type="runtime.close_session", realm="runtime",
        session_id=session, tenant_id="acme", principal="late", correlation_id="c",
        payload=b'{"reason":""}', metadata=b"{}", solution_context=b"", created_at=1,
        authentication="api_key", credential=made["key_id"],
    )  # fmt: skip
    partition = ids.partition_of(session)
    out = producer(guarded.settings, "test-identity")
    topic = Topics(guarded.settings.topic_prefix).name(INTENTS)
    out.produce(topic, encode(seal(intent, SECRET.encode())), partition=partition)
    assert out.flush(30) == 0
    execution = ids.execution_id("acme", session, "after", partition)
    eventually(
        lambda: guarded.http.get(f"/v1/executions/{execution}").status_code == 200,
        "the owner has decided it",
    )
    answer = guarded.http.get(f"/v1/executions/{execution}")
    assert answer.json()["error"]["code"] == "credential_revoked"


def test_of_two_changes_at_once_none_is_lost(guarded: System) -> None:
    key_id = _cli(guarded, "create", "--tenant", "acme")["key_id"]
    with KeyStore(guarded.settings) as first, KeyStore(guarded.settings, "other") as second:

        def raced(key: Any) -> Any:
            if key.version == 1:  # another operator is quicker, with the same version
                second.change(key_id, lambda same: replace(same, version=2, description="x"))
            return api_keys.revoked(key)

        left = first.change(key_id, raced)
    assert (left.version, left.revoked, left.description) == (3, True, "x")


def test_what_the_gateway_states_is_sealed(guarded: System) -> None:
    session = guarded.open_session()
    (opened,) = _stated(guarded, session)
    assert (opened.authentication, opened.principal) == ("api_key", "ann")
    assert opened.credential == guarded.key.split("_")[1]
    assert sealed(opened, SECRET.encode())
    assert not sealed(replace(opened, roles=("admin",)), SECRET.encode())


async def test_a_token_states_sealed_intents(running: Endpoints, tmp_path: Path) -> None:
    now = int(time.time())  # noqa: TID251  # the gateway's clock is the machine's
    async with Issuer() as issuer:
        issuers = (issuer.settings(jwks_url=""),)
        update = {"oidc_issuers": issuers, "intent_secret_file": None}
        system = System(
            isolated(running, tmp_path).model_copy(update=update),
            extra={"SYMPHAINY_INTENT_SECRET": f"{SECRET},another secret of at least 32 bytes"},
        )
        try:
            for role in ("owner", "projector", "gateway"):
                system.up(role)
            token = issuer.token(exp=now + 600, iat=now, jti="t-1", roles=["writer"])
            async with httpx.AsyncClient(base_url=system.url) as http:
                headers = {"Authorization": f"Bearer {token}"}
                answer = await http.post("/v1/sessions", headers=headers, json={})
                assert answer.status_code == 201, answer.text
                late = issuer.token(exp=now - 61, iat=now - 600)
                headers = {"Authorization": f"Bearer {late}"}
                refused = await http.post("/v1/sessions", headers=headers, json={})
                assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
            (opened,) = _stated(system, answer.json()["session_id"])
        finally:
            system.stop()
        assert (opened.authentication, opened.principal) == ("jwt", "ann")
        assert (opened.credential, opened.roles) == (f"{issuer.url}#t-1", ("writer",))
        assert sealed(opened, SECRET.encode())


async def test_a_producer_signs_what_stands_in_the_log(guarded: System, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    arguments = ("--tenant", "acme", "--principal", "meter", "--role", "producer", "--signing")
    made = _cli(guarded, "create", *arguments, "--private-key-file", str(file))
    assert "key" not in made
    assert "private_key" not in made
    assert (made["kind"], os.stat(file).st_mode & 0o777) == ("signing", 0o600)
    with pytest.raises(CallerError):
        _cli(guarded, "create", *arguments, "--private-key-file", str(file))
    printed = _cli(guarded, "create", *arguments)["private_key"]
    assert SigningKey.from_pem("k", printed).public

    key = SigningKey.from_pem(made["key_id"], file.read_bytes())
    producer = IntentProducer(
        guarded.settings, "acme", "meter", signing_key=key, roles=("producer",)
    )
    async with producer:
        session = await producer.open_session()
        large = {"text": "x" * 100_000}
        await producer.submit("meter.read", large, session_id=session)
    with KeyStore(guarded.settings) as store:
        record = store.key(made["key_id"])
    opened, read = _stated(guarded, session)
    assert read.payload_ref is not None
    for intent in (opened, read):
        assert (intent.authentication, intent.credential) == ("signature", made["key_id"])
        assert verified(intent, record, record.created_at) is None
        assert verified(replace(intent, priority=1), record, record.created_at) is not None
        assert verified(intent, api_keys.revoked(record), record.created_at) is not None
