"""The table: how each route of the OpenAPI document is tried on what another tenant has.

A route is tried by `Try`s: a request that names something of the other tenant, and its twin, which
names what never was and is otherwise the same. Both must be answered alike. A new route needs a row
here; the suite fails without it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.integration.isolation.estate import SAME_INTENT_ID, SAME_KEY, Estate, to_json

from symphainy_gateway.parameters import SESSION_STATUSES


class Call(NamedTuple):
    """A request without its credential."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Try(NamedTuple):
    """A request, and its twin if it has one; without one, only leaks are looked for."""

    real: Call
    twin: Call | None


class Row(NamedTuple):
    """How a route is tried: on another's things, and on one's own, with the statuses of success."""

    tries: Callable[[Estate, Estate], Iterator[Try]]
    own: Callable[[Estate], Call]
    answers: tuple[int, ...] = (200,)
    open: bool = False
    """Whether it answers without a credential."""


JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}


def nobody(name: str) -> str:
    """An id like `name`, on the same partition, of nothing."""
    head, partition, unique = name.split("-")
    return f"{head}-{partition}-{secrets.token_hex(len(unique) // 2)}"


def _of_execution(method: str, path: str, own: str, body: Any = None, **more: Any) -> Row:
    """A route of one execution: tried on every kind, also with what resumes, or names a repeat."""

    def call(name: str, headers: Mapping[str, str] = {}) -> Call:
        given = {**JSON, **headers} if body is not None else headers
        content = b"" if body is None else to_json(body)
        return Call(method, path.replace("{execution_id}", name), content, given)

    def tries(_: Estate, other: Estate) -> Iterator[Try]:
        headers: list[Mapping[str, str]] = [{}]
        if method == "POST":
            headers.append({"idempotency-key": SAME_KEY})
        if path.endswith("/stream"):
            headers.append({"last-event-id": "1"})
        for kind, name in other.executions.items():
            for one in headers if kind in ("succeeded", "waiting") else headers[:1]:
                yield Try(call(name, one), call(nobody(name), one))

    return Row(tries, lambda mine: call(mine.executions[own]), **more)


def _of_session(method: str, path: str, own: str, body: Any = None, **more: Any) -> Row:
    sent = () if body is None else (to_json(body), JSON)

    def call(name: str) -> Call:
        return Call(method, path.replace("{session_id}", name), *sent)

    def tries(_: Estate, other: Estate) -> Iterator[Try]:
        for name in other.sessions.values():
            yield Try(call(name), call(nobody(name)))

    return Row(tries, lambda mine: call(mine.sessions[own]), **more)


def _of_all(method: str, path: str, *, open: bool = False) -> Row:
    """A route that names nothing."""
    return Row(
        lambda _mine, _other: iter([Try(Call(method, path), None)]),
        lambda _: Call(method, path),
        open=open,
    )


def _listing(mine: Estate, other: Estate) -> Iterator[Try]:
    """Another's sessions as filters, with every other filter; another's cursor; no filter."""
    path = "/v1/executions"
    for name in other.sessions.values():
        for rest in ("", "&limit=1", "&status=succeeded", "&type=work.add&limit=1"):
            real, twin = f"{path}?session={name}{rest}", f"{path}?session={nobody(name)}{rest}"
            yield Try(Call("GET", real), Call("GET", twin))
    for rest in ("limit=1", "limit=200", f"session={mine.sessions['open']}"):
        yield Try(Call("GET", f"{path}?cursor={other.cursor}&{rest}"), None)
    yield Try(Call("GET", f"{path}?limit=200"), None)


def _intents(mine: Estate, other: Estate) -> Iterator[dict[str, Any]]:
    """Bodies that name another's session, intent id or tenant; `twin` is what never was."""
    plain = {"intent_type": "work.add", "payload": {"numbers": [7]}}
    for name in other.sessions.values():
        for chosen in (None, SAME_INTENT_ID, other.intents["failed"]):
            body: dict[str, Any] = {**plain, "session_id": name}
            twin = {**plain, "session_id": nobody(name)}
            if chosen is not None:
                body["intent_id"] = twin["intent_id"] = chosen
            yield {"body": body, "twin": twin}
    own = {**plain, "session_id": mine.sessions["open"]}
    yield {
        "body": {**own, "tenant_id": other.tenant},
        "twin": {**own, "tenant_id": "nobody"},
    }


def _submitting(mine: Estate, other: Estate) -> Iterator[Try]:
    for one in _intents(mine, other):
        for wait in ("", "?wait=1s"):
            path = f"/v1/intents{wait}"
            real, twin = (Call("POST", path, to_json(one[it]), JSON) for it in ("body", "twin"))
            yield Try(real, twin)


def _batch(mine: Estate, other: Estate) -> Iterator[Try]:
    found = list(_intents(mine, other))
    real, twin = (b"\n".join(to_json(one[it]) for one in found) for it in ("body", "twin"))
    path = "/v1/intents:batch"
    yield Try(Call("POST", path, real, NDJSON), Call("POST", path, twin, NDJSON))


def _opening(mine: Estate, other: Estate) -> Iterator[Try]:
    path = "/v1/sessions"
    real, twin = (to_json({"tenant_id": name}) for name in (other.tenant, "nobody"))
    yield Try(Call("POST", path, real, JSON), Call("POST", path, twin, JSON))
    key = f"key-{mine.tenant}"
    real_key, twin_key = {"idempotency-key": key}, {"idempotency-key": f"{key}-2"}
    yield Try(Call("POST", path, b"", real_key), Call("POST", path, b"", twin_key))


def _own_sessions(_mine: Estate, _other: Estate) -> Iterator[Try]:
    """Sessions by every filter: no other tenant's is among them."""
    for rest in ("", "?limit=200", "?limit=1", *(f"?status={one}" for one in SESSION_STATUSES)):
        yield Try(Call("GET", f"/v1/sessions{rest}"), None)


def _own_intent(mine: Estate) -> Call:
    body = {
        "intent_type": "work.add",
        "session_id": mine.sessions["open"],
        "payload": {"numbers": [5]},
    }
    return Call("POST", "/v1/intents?wait=30s", to_json(body), JSON)


def _own_batch(mine: Estate) -> Call:
    return Call("POST", "/v1/intents:batch", _own_intent(mine).body, NDJSON)


GUARD = "permit(principal, action, resource);"


def _policies(mine: Estate) -> Call:
    """One's own policies, which let everything pass, with what nobody else may read."""
    body = to_json({"security_guard": f"{GUARD} // {mine.marker}", "note": mine.marker})
    return Call("PUT", "/v1/policies", body, JSON)


def _asking(_: Estate) -> Call:
    body = to_json({"intent_type": "work.add", "payload": {"numbers": [1]}})
    return Call("POST", "/v1/policies/check", body, JSON)


def _trying(mine: Estate) -> Call:
    """A candidate that names what is one's own, on one's own history."""
    body = {"candidate": {"security_guard": f"{GUARD} // {mine.marker}"}, "examples": 100}
    return Call("POST", "/v1/policies/backtest", to_json(body), JSON)


def _of_policies(call: Callable[[Estate], Call]) -> Row:
    """A route of the caller's own policies, which names nobody's."""
    return Row(lambda mine, _: iter([Try(call(mine), None)]), call)


def _log(mine: Estate, other: Estate) -> Iterator[Try]:
    """Another's ids as filters, with other filters; its name; and what names nothing."""
    path = "/v1/wal"
    for kind, names in (("execution", other.executions), ("session", other.sessions)):
        for name in names.values():
            for rest in ("", "&limit=1", "&event=intent_received&type=work.add"):
                real, twin = (f"{path}?{kind}={one}{rest}" for one in (name, nobody(name)))
                yield Try(Call("GET", real), Call("GET", twin))
    for rest in ("", "&limit=1"):
        real, twin = (f"{path}?correlation={one}{rest}" for one in (other.intents["failed"], "x"))
        yield Try(Call("GET", real), Call("GET", twin))
    real, twin = (f"{path}?tenant={one}" for one in (other.tenant, "nobody"))
    yield Try(Call("GET", real), Call("GET", twin))
    for rest in ("limit=200", "partition=0&offset=0", f"session={mine.sessions['open']}"):
        yield Try(Call("GET", f"{path}?{rest}"), None)


EXE, SAGA = "/v1/executions/{execution_id}", "/v1/sagas/{execution_id}"
SES = "/v1/sessions/{session_id}"
TAKEN = (202,)
REASON = {"reason": "to see"}
ROWS: Mapping[tuple[str, str], Row] = {
    ("POST", "/v1/intents"): Row(_submitting, _own_intent),
    ("POST", "/v1/intents:batch"): Row(_batch, _own_batch),
    ("GET", "/v1/executions"): Row(_listing, lambda _: Call("GET", "/v1/executions")),
    ("GET", EXE): _of_execution("GET", EXE, "claimed"),
    ("GET", f"{EXE}/status"): _of_execution("GET", f"{EXE}/status", "waiting"),
    ("GET", f"{EXE}/events"): _of_execution("GET", f"{EXE}/events", "failed"),
    ("GET", f"{EXE}/stream"): _of_execution("GET", f"{EXE}/stream", "succeeded"),
    ("POST", "/v1/sessions"): Row(
        _opening, lambda _: Call("POST", "/v1/sessions"), answers=(201, 202)
    ),
    ("GET", "/v1/sessions"): Row(_own_sessions, lambda _: Call("GET", "/v1/sessions")),
    ("GET", SES): _of_session("GET", SES, "closed"),
    ("PATCH", SES): _of_session(
        "PATCH", SES, "open", {"attributes": {"mine": True}}, answers=(200, 202)
    ),
    ("DELETE", SES): _of_session("DELETE", SES, "spare", answers=(200, 202)),
    ("GET", f"{SES}/events"): _of_session("GET", f"{SES}/events", "open"),
    ("POST", f"{EXE}/signals/{{name}}"): _of_execution(
        "POST", f"{EXE}/signals/approved", "signalled", {"data": {"by": "me"}}, answers=TAKEN
    ),
    ("POST", f"{EXE}/cancel"): _of_execution(
        "POST", f"{EXE}/cancel", "waiting", REASON, answers=TAKEN
    ),
    ("POST", f"{EXE}/pause"): _of_execution(
        "POST", f"{EXE}/pause", "sleeping", REASON, answers=TAKEN
    ),
    ("POST", f"{EXE}/resume"): _of_execution(
        "POST", f"{EXE}/resume", "paused", REASON, answers=TAKEN
    ),
    ("POST", f"{EXE}/replay"): _of_execution(
        "POST", f"{EXE}/replay", "failed", {"mode": "events_only"}
    ),
    ("POST", f"{EXE}/validate"): _of_execution("POST", f"{EXE}/validate", "failed"),
    ("POST", f"{SAGA}/replay"): _of_execution(
        "POST", f"{SAGA}/replay", "stuck", {"mode": "state_only"}
    ),
    ("GET", SAGA): _of_execution("GET", SAGA, "stuck"),
    ("POST", f"{SAGA}/compensate"): _of_execution(
        "POST", f"{SAGA}/compensate", "stuck", REASON, answers=TAKEN
    ),
    ("POST", f"{SAGA}/steps/{{step}}/retry"): _of_execution(
        "POST", f"{SAGA}/steps/refuse/retry", "retried", REASON, answers=TAKEN
    ),
    ("PUT", "/v1/policies"): _of_policies(_policies),
    ("GET", "/v1/policies"): _of_policies(lambda _: Call("GET", "/v1/policies")),
    ("POST", "/v1/policies/check"): _of_policies(_asking),
    ("POST", "/v1/policies/backtest"): _of_policies(_trying),
    ("GET", "/v1/wal"): Row(
        _log, lambda mine: Call("GET", f"/v1/wal?execution={mine.executions['succeeded']}")
    ),
    ("GET", "/v1/capabilities"): _of_all("GET", "/v1/capabilities"),
    ("GET", "/healthz"): _of_all("GET", "/healthz", open=True),
    ("GET", "/readyz"): _of_all("GET", "/readyz", open=True),
    ("GET", "/metrics"): _of_all("GET", "/metrics", open=True),
    ("GET", "/openapi.json"): _of_all("GET", "/openapi.json", open=True),
}
