"""Intents as clients state them.

- Tenant and principal come from the credential; a body may only repeat the tenant.
- The id is the body's, or Idempotency-Key's, or fresh; two that differ are refused.
- Everything that is wrong with a body is told, each with a JSON pointer.
- The payload's bytes are the canonical encoding of the parsed object.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.fakes import CALLER, SESSION, intent_body

from symphainy_gateway import intents
from symphainy_gateway.intents import IntentBody, Origin, Submission
from symphainy_gateway.problems import Refused

FRESH = "0192f0c1-a2b3-7c4d-8e5f-60718293a4b5"


def _read(body: dict[str, Any], *, key: str = "") -> Submission:
    origin = Origin(caller=CALLER, now_ms=42, fresh_id=FRESH, key=key, traceparent="00-trace")
    return intents.read_intent(json.dumps(body).encode(), origin)


def _refusal(body: dict[str, Any], *, key: str = "") -> Refused:
    with pytest.raises(Refused) as refusal:
        _read(body, key=key)
    return refusal.value


def test_an_intent_takes_what_it_does_not_say_from_its_request() -> None:
    submission = _read(intent_body())
    intent = submission.intent
    assert (intent.tenant_id, intent.principal) == ("acme", "ada")
    assert (intent.intent_id, intent.correlation_id) == (FRESH, FRESH)
    assert (intent.realm, intent.created_at, intent.traceparent) == ("content", 42, "00-trace")
    assert (intent.metadata, intent.solution_context) == (b'{"source":"http"}', b"")
    assert not submission.chosen


def test_an_intent_keeps_what_it_says() -> None:
    submission = _read(
        intent_body(
            intent_id="order:7",
            correlation_id="case 9".replace(" ", "/"),
            metadata={"source": "me", "colour": "blue"},
            solution_context={"goal": 1},
            realm="content",
            tenant_id="acme",
        )
    )
    intent = submission.intent
    assert (intent.intent_id, intent.correlation_id) == ("order:7", "case/9")
    assert json.loads(intent.metadata) == {"source": "http", "colour": "blue"}
    assert intent.solution_context == b'{"goal":1}'
    assert submission.chosen


def test_the_payload_is_encoded_canonically() -> None:
    body = b'{ "intent_type":"a.b", "session_id":"%b", "payload" : { "z": 1.0 , "a":"\\u00e9" } }'
    origin = Origin(caller=CALLER, now_ms=1, fresh_id=FRESH)
    submission = intents.read_intent(body % SESSION.encode(), origin)
    assert submission.intent.payload == msgspec.json.encode({"z": 1.0, "a": "é"})


def test_the_idempotency_key_is_the_intent_id() -> None:
    assert _read(intent_body(), key="k-1").intent.intent_id == "k-1"
    assert _read(intent_body(intent_id="k-1"), key="k-1").chosen
    assert _refusal(intent_body(intent_id="k-2"), key="k-1").code == "invalid_parameter"


@pytest.mark.parametrize(
    ("values", "key"),
    [([], ""), ([b"k-1"], "k-1"), ([b'"k-1"'], "k-1"), ([b"a:b~c._-Z9"], "a:b~c._-Z9")],
)
def test_an_idempotency_key_is_plain_or_a_quoted_string(values: list[bytes], key: str) -> None:
    assert intents.idempotency_key([(b"idempotency-key", value) for value in values]) == key


@pytest.mark.parametrize(
    "values", [[b""], [b'"'], [b"a b"], [b"\xff"], [b"x" * 129], [b"a\n"], [b"k", b"k"]]
)
def test_another_idempotency_key_is_refused(values: list[bytes]) -> None:
    with pytest.raises(Refused) as refusal:
        intents.idempotency_key([(b"idempotency-key", value) for value in values])
    assert refusal.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("stated", "carried"),
    [
        (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",) * 2,
        (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", b""),
        (b"nonsense\xff", b""),
        (None, b""),
    ],
)
def test_a_trace_context_is_carried_if_it_is_one(stated: bytes | None, carried: bytes) -> None:
    headers = {} if stated is None else {b"traceparent": stated}
    assert intents.traceparent(headers) == carried.decode()


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"tenant_id": "rival"}, "tenant_mismatch", "/tenant_id"),
        ({"intent_type": "runtime.cancel"}, "control_intent_not_allowed", "/intent_type"),
        (
            {"intent_type": "solution.x", "realm": "runtime"},
            "control_intent_not_allowed",
            "/intent_type",
        ),
        ({"realm": "other"}, "invalid_request", "/realm"),
        ({"intent_type": "Content.x"}, "invalid_request", "/intent_type"),
        ({"intent_type": "content.x\n"}, "invalid_request", "/intent_type"),
        ({"intent_id": "a b"}, "invalid_request", "/intent_id"),
        ({"intent_id": "a\n"}, "invalid_request", "/intent_id"),
        ({"intent_id": None}, "invalid_request", "/intent_id"),
        ({"session_id": "ses-3-x"}, "invalid_request", "/session_id"),
        ({"session_id": SESSION.replace("3", "٣")}, "invalid_request", "/session_id"),
        ({"payload": [1]}, "invalid_request", "/payload"),
        ({"payload": {"n": 2**64}}, "invalid_request", "/payload"),
        ({"metadata": {"n": 2**64}}, "invalid_request", "/metadata"),
        ({"metadata": "x"}, "invalid_request", "/metadata"),
        ({"correlation_id": ""}, "invalid_request", "/correlation_id"),
        ({"created_at": 1}, "invalid_request", "/created_at"),
        ({"a/b~c": 1}, "invalid_request", "/a~1b~0c"),
    ],
)
def test_a_wrong_member_is_refused_by_name(members: dict[str, Any], code: str, field: str) -> None:
    refusal = _refusal(intent_body(**members))
    assert (refusal.code, refusal.field) == (code, field)


@pytest.mark.parametrize(
    ("intent_type", "realm", "target"),
    [
        ("cross_realm.move", None, "cross_realm"),
        ("cross_realm.move", "content", "content"),
        ("solution.build", "factory", "factory"),
    ],
)
def test_a_shared_type_may_name_its_realm(intent_type: str, realm: str | None, target: str) -> None:
    members = {"realm": realm} if realm else {}
    assert _read(intent_body(intent_type=intent_type, **members)).intent.realm == target


def test_everything_that_is_wrong_is_told() -> None:
    refusal = _refusal({"intent_type": 1, "payload": [], "x": 1})
    fields = {violation.field for violation in refusal.errors}
    assert fields == {"/intent_type", "/payload", "/session_id", "/x"}


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b'{"payload":1e999}'])
def test_another_value_is_no_intent(body: bytes) -> None:
    origin = Origin(caller=CALLER, now_ms=1, fresh_id=FRESH)
    with pytest.raises(Refused) as refusal:
        intents.read_intent(body, origin)
    assert refusal.value.code == "invalid_request"
    assert refusal.value.errors


def test_a_session_body_may_be_empty() -> None:
    assert intents.read_session(b"", CALLER) == {"attributes": {}}
    assert intents.read_session(b"{}", CALLER) == {"attributes": {}}
    told = {"attributes": {"a": 1}, "idle_ms": 5_000}
    assert intents.read_session(msgspec.json.encode(told), CALLER) == told


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "invalid_request"),
        (b'{"attributes":[]}', "invalid_request"),
        (b'{"user":1}', "invalid_request"),
        (b'{"tenant_id":"rival"}', "tenant_mismatch"),
    ],
)
def test_another_session_body_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        intents.read_session(body, CALLER)
    assert refusal.value.code == code


def test_the_schema_shown_says_what_the_decoder_takes() -> None:
    schema = intents.schema_of(IntentBody)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"intent_type", "session_id", "payload"}
    assert set(schema["properties"]) == set(IntentBody.__struct_fields__)
    assert all("(?!" not in it.get("pattern", "") for it in schema["properties"].values())
