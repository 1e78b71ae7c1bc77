"""Clients that hold a connection and send little: the gateway lets them go, and serves the others.

- A request whose head does not come in time is cut off; so is one whose body does not, with 408.
- Who is refused while it still sends a small body is told so, and may go on with its connection.
- A head of too many headers, or of too many bytes, is refused; a body that nests too deep, too.
- Of the streams that may be open one tenant has half: the next one is told to come later, and
  another tenant still has its own.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from tests.support.system import System, isolated

from symphainy_cli.keys import create_key
from symphainy_runtime.local import Endpoints

HEADER_S, BODY_S = 1.0, 1.0
STREAMS = 8
ANSWER_S = 20.0  # what a loaded machine takes at most


@pytest.fixture(scope="module")
def strict(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = isolated(running, tmp_path_factory.mktemp("slow"))
    limits = {"header_timeout_s": HEADER_S, "body_timeout_s": BODY_S, "max_streams": STREAMS}
    system = System(settings.model_copy(update=limits))
    system.start("tests.support.work_realm:realm")
    yield system
    system.stop()


def _socket(system: System) -> socket.socket:
    place = (system.settings.gateway_host, system.settings.gateway_port)
    return socket.create_connection(place, timeout=ANSWER_S)


def _all(connection: socket.socket) -> bytes:
    """Everything until the gateway closes."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def _head(system: System, length: int) -> bytes:
    return (
        f"POST /v1/intents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {system.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_slow_heads_and_bodies_are_let_go(strict: System) -> None:
    with _socket(strict) as head, _socket(strict) as nothing, _socket(strict) as part:
        head.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        nothing.sendall(_head(strict, 1_000))
        part.sendall(_head(strict, 1_000) + b'{"intent_type": "work.add", ')
        assert httpx.get(f"{strict.url}/healthz").status_code == 200
        assert b" 200 " not in _all(head)
        for body in (nothing, part):
            told, _, document = _all(body).partition(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 408 "), told
            assert json.loads(document)["code"] == "body_too_slow"
    held = httpx.get(f"{strict.url}/metrics").text
    assert "symphainy_gateway_requests_held 0.0" in held


def test_who_is_refused_while_it_sends_is_told_so(strict: System) -> None:
    """Were it closed with a body to come, it would be reset, and the answer lost."""
    unknown = _head(strict, 2).replace(strict.key.encode(), b"sk_nobody")
    with _socket(strict) as one, one.makefile("rb") as told:
        one.sendall(unknown)
        for _ in range(3):  # by when the gateway has dealt with that head
            assert strict.http.get("/healthz").status_code == 200
        one.sendall(b"{}" + unknown + b"{}")
        for _ in range(2):
            assert told.readline().startswith(b"HTTP/1.1 401 ")
            length = int(http.client.parse_headers(told)["content-length"])
            assert json.loads(told.read(length))["code"] == "unauthenticated"


def test_heads_and_nesting_are_bounded(strict: System) -> None:
    many = {f"x-{number}": "1" for number in range(200)}
    assert strict.http.get("/healthz", headers=many).status_code == 431
    large = {"x-large": "1" * 200_000}
    assert strict.http.get("/healthz", headers=large).status_code == 431
    deep = "[" * 1_000 + "]" * 1_000
    answer = strict.http.post(
        "/v1/intents",
        content=f'{{"payload": {deep}}}',
        headers={"content-type": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_one_tenant_has_half_of_the_streams(strict: System) -> None:

    def waiting(key: str) -> str:
        with httpx.Client(
            base_url=strict.url, headers={"authorization": f"Bearer {key}"}, timeout=ANSWER_S
        ) as client:
            session = client.post("/v1/sessions", json={}).json()["session_id"]
            body = {
                "intent_type": "work.approve",
                "session_id": session,
                "payload": {"nap_ms": 1, "patience_ms": 600_000},
            }
            execution: str = client.post("/v1/intents", json=body).json()["execution_id"]
            return execution

    other = create_key(strict.settings, "rival", "bob")
    with ExitStack() as held:

        def stream(key: str, execution_id: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection(
                strict.settings.gateway_host, strict.settings.gateway_port, timeout=ANSWER_S
            )
            held.callback(connection.close)
            path = f"/v1/executions/{execution_id}/stream"
            connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
            return connection.getresponse()

        mine = waiting(strict.key)
        assert [stream(strict.key, mine).status for _ in range(STREAMS // 2)] == [200] * 4
        refused = stream(strict.key, mine)
        assert refused.status == 429
        assert json.loads(refused.read())["code"] == "too_many_streams"
        assert stream(other, waiting(other)).status == 200
