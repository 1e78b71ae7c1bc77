"""API keys at the gateway.

- Every intent carries whose key it was stated with, in every way in; no body changes that.
- Unknown, wrong, revoked and expired are one answer to the caller; the operator has the reason.
- A key that is revoked or given an end is refused by the gateway that runs.
- Scopes bound what is stated and whether anything is read; no scopes bound nothing.
- Neither answer, log nor metric holds a secret.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import CALLER, KEY, KEY_RECORD, SESSION, execution_id_of, intent_body

from symphainy_gateway.callers import require_scope
from symphainy_gateway.problems import Refused
from symphainy_runtime import api_keys
from symphainy_runtime.api_keys import KeyOptions, new_key
from symphainy_runtime.configuration import config_key
from symphainy_schemas.codec import encode
from symphainy_schemas.records import ApiKey

NOW_MS = 2_000_000_000_000
LIST = "/v1/executions"


class _Clock:
    now = NOW_MS

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1_000


def _with_key(call: Caller, **members: Any) -> tuple[str, ApiKey]:
    text, record = new_key(KeyOptions(tenant_id="acme", principal="ada", **members), 1)
    _apply(call, record)
    return text, record


def _apply(call: Caller, record: ApiKey) -> None:
    call.backend.configuration.apply(config_key(record), encode(record))


def _reasons(call: Caller) -> dict[str, int]:
    text = call.gateway.metrics.exposition().decode()
    found = re.findall(r'unauthenticated_total{reason="(\w+)"} (\d+)', text)
    return {reason: int(count) for reason, count in found}


async def test_every_intent_carries_whose_key_it_was() -> None:
    call = Caller()
    key, record = _with_key(call, roles=("reader", "writer"), attributes=b'{"team":"claims"}')
    forged = {"roles": ["admin"], "principal": "root", "tenant_id": "rival"}
    answer = await call("POST", "/v1/intents", intent_body(metadata=forged), key=key)
    running = answer.json["execution_id"]
    call.backend.publisher.outcome = "running"
    line = json.dumps(intent_body(intent_id="b")).encode()
    await call("POST", "/v1/intents:batch", line, key=key, media_type=b"application/x-ndjson")
    batched = execution_id_of(call.backend.publisher.published[-1])
    await call("POST", "/v1/sessions", {"attributes": forged}, key=key)
    await call("POST", f"/v1/executions/{batched}/signals/go", {"data": forged}, key=key)
    for verb in ("cancel", "pause", "resume"):
        await call("POST", f"/v1/executions/{batched}/{verb}", key=key)
    await call("POST", f"/v1/sagas/{batched}/compensate", key=key)
    await call("POST", f"/v1/sagas/{batched}/steps/a/retry", key=key)
    await call("DELETE", f"/v1/sessions/{SESSION}", key=key)
    published = call.backend.publisher.published
    assert running
    assert len({intent.intent_type for intent in published}) == 9
    assert len(published) == 10
    for intent in published:
        assert (intent.tenant_id, intent.principal) == ("acme", "ada")
        assert (intent.roles, intent.attributes) == (record.roles, record.attributes)
        assert (intent.authentication, intent.credential) == ("api_key", record.key_id)


@pytest.mark.parametrize(
    "member", ["principal", "roles", "attributes", "authentication", "credential", "signature"]
)
async def test_a_body_that_says_who_it_is_of_is_refused(member: str) -> None:
    call = Caller()
    answer = await call("POST", "/v1/intents", intent_body(**{member: "admin"}))
    assert answer.status == 422
    assert call.backend.publisher.published == []


async def test_what_does_not_count_is_one_answer_and_the_operators_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="symphainy_gateway")
    call = Caller(clock=_Clock())
    revoked, _ = _with_key(call)
    _apply(call, api_keys.revoked(call.backend.configuration.keys[revoked.split("_")[1]]))
    expired, _ = _with_key(call, expires_at=NOW_MS)
    signing, _ = _with_key(call, public_key=b"k" * 32)
    signer = next(key for key in call.backend.configuration.keys.values() if key.public_key)
    assert signing == ""
    presented = {
        "unknown_key": f"sym_{'0' * 12}_{'0' * 64}",
        "wrong_secret": f"sym_{KEY.split('_')[1]}_{'0' * 64}",
        "revoked_key": revoked,
        "expired_key": expired,
        "malformed_key": "sym_x",
    }
    answers = [await call("GET", LIST, key=key) for key in presented.values()]
    empty = await call("GET", LIST, key=f"sym_{signer.key_id}_")
    told = {(one.status, one.headers["www-authenticate"], one.body) for one in (*answers, empty)}
    assert len(told) == 1
    assert answers[0].status == 401
    assert 'error="invalid_token"' in answers[0].headers["www-authenticate"]
    assert answers[0].json["code"] == "unauthenticated"
    assert _reasons(call) == dict.fromkeys(presented, 1) | {"wrong_secret": 2}
    logged = caplog.text
    for reason in presented:
        assert f"credential refused: {reason}" in logged
    for key in presented.values():
        assert key not in logged
        assert len(key) < 30 or key.split("_")[2] not in logged


async def test_no_credential_is_told_apart_from_one_that_does_not_count() -> None:
    call = Caller()
    for headers in ([], [(b"authorization", b"Basic eDp5")], [(b"authorization", b"Bearer")]):
        answer = await call("GET", LIST, key="", headers=headers)
        assert answer.headers["www-authenticate"] == 'Bearer realm="symphainy"'
        assert answer.json["code"] == "unauthenticated"
    assert _reasons(call) == {"none": 3}


async def test_a_key_is_refused_from_its_end_on_and_a_higher_version_is_adopted() -> None:
    clock = _Clock()
    call = Caller(clock=clock)
    key, record = _with_key(call, expires_at=NOW_MS + 10)
    clock.now += 9
    assert (await call("GET", LIST, key=key)).status == 200
    clock.now += 1
    assert (await call("GET", LIST, key=key)).status == 401
    _apply(call, replace(record, version=2, expires_at=NOW_MS + 1_000))
    assert (await call("GET", LIST, key=key)).status == 200
    _apply(call, replace(record, version=3, revoked=True))
    assert (await call("GET", LIST, key=key)).status == 401
    _apply(call, replace(record, version=3))
    assert (await call("GET", LIST, key=key)).status == 401


SCOPED = [
    ("POST", "/v1/intents", intent_body(), "content.ingest"),
    ("POST", "/v1/sessions", {}, "runtime.open_session"),
    ("DELETE", f"/v1/sessions/{SESSION}", None, "runtime.close_session"),
    ("GET", LIST, None, "read"),
    ("GET", f"/v1/sessions/{SESSION}", None, "read"),
    ("GET", f"/v1/sessions/{SESSION}/events", None, "read"),
    ("GET", "/v1/capabilities", None, "read"),
    ("GET", "/v1/executions/{id}", None, "read"),
    ("GET", "/v1/executions/{id}/status", None, "read"),
    ("GET", "/v1/executions/{id}/events", None, "read"),
    ("GET", "/v1/executions/{id}/stream", None, "read"),
    ("GET", "/v1/sagas/{id}", None, "read"),
    ("POST", "/v1/executions/{id}/cancel", None, "runtime.cancel"),
    ("POST", "/v1/executions/{id}/pause", None, "runtime.pause"),
    ("POST", "/v1/executions/{id}/resume", None, "runtime.resume"),
    ("POST", "/v1/executions/{id}/signals/go", None, "runtime.signal"),
    ("POST", "/v1/sagas/{id}/compensate", None, "runtime.compensate"),
    ("POST", "/v1/sagas/{id}/steps/a/retry", None, "runtime.retry_step"),
]


@pytest.mark.parametrize(("method", "path", "body", "scope"), SCOPED)
async def test_each_route_asks_for_its_scope(method: str, path: str, body: Any, scope: str) -> None:
    call = Caller()
    await call("POST", "/v1/intents", intent_body(intent_id="first"))
    (first,) = call.backend.publisher.published
    document = call.backend.read_model.documents[execution_id_of(first)]
    document["status"], document["success"] = "running", False
    path = path.replace("{id}", document["execution_id"])
    others = tuple({other for *_, other in SCOPED} - {scope})
    outside, _ = _with_key(call, scopes=others)
    within, _ = _with_key(call, scopes=(scope,))
    refused = await call(method, path, body, key=outside)
    assert refused.is_problem
    assert (refused.status, refused.json["code"]) == (403, "out_of_scope")
    assert scope in refused.json["detail"]
    assert refused.json["cure"]
    challenge = refused.headers["www-authenticate"]
    assert f'error="insufficient_scope", scope="{scope}"' in challenge
    assert len(call.backend.publisher.published) == 1
    if not path.endswith("/stream"):  # which would go on
        assert (await call(method, path, body, key=within)).json.get("code") != "out_of_scope"


async def test_a_line_of_a_batch_is_refused_by_itself() -> None:
    call = Caller()
    key, _ = _with_key(call, scopes=("content.*",))
    lines = [intent_body(), intent_body(intent_type="billing.charge")]
    body = "\n".join(map(json.dumps, lines)).encode()
    answer = await call(
        "POST", "/v1/intents:batch", body, key=key, media_type=b"application/x-ndjson"
    )
    told = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["http_status"] for line in told] == [202, 403]
    assert told[1]["body"]["code"] == "out_of_scope"


def test_a_scope_is_asked_of_no_one_without_scopes() -> None:
    require_scope(CALLER, "anything.at_all")
    with pytest.raises(Refused):
        require_scope(replace(CALLER, scopes=("a.b",)), "anything.at_all")


def test_an_unknown_id_costs_what_a_wrong_secret_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hash and compare once: the only work that depends on what was presented."""
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    keys = {KEY_RECORD.key_id: KEY_RECORD}
    secret = "0" * 64
    assert api_keys.authenticate(keys, f"sym_nobody_{secret}", 1) == "unknown_key"
    assert api_keys.authenticate(keys, f"sym_{KEY_RECORD.key_id}_{secret}", 1) == "wrong_secret"
    assert compared == [(32, 32), (32, 32)]
