"""The edge: an error that nobody foresaw is logged under an incident, and answered as a problem.

- On the direct route and on any other; the answer names the incident, not the error.
- What has begun to be answered is not answered twice.
"""

from __future__ import annotations

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import intent_body, raising

SECRET = "a detail of the inside"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/v1/intents", intent_body()), ("GET", "/v1/executions", None)],
)
async def test_an_unforeseen_error_is_an_incident(
    method: str, path: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller()
    caller.backend.publisher.before = raising(RuntimeError(SECRET))
    caller.backend.read_model.failure = RuntimeError(SECRET)
    answer = await caller(method, path, body)
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert answer.json["incident"] in caplog.text
    assert SECRET in caplog.text
    assert SECRET not in answer.body.decode()
    text = (await caller("GET", "/metrics")).body.decode()
    assert f'method="{method}",route="{path}",status="500"}} 1.0' in text


async def test_what_was_begun_is_cut_short(caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller()
    caller.backend.publisher.outcome = "running"
    execution_id = (await caller("POST", "/v1/intents", intent_body())).json["execution_id"]
    caller.backend.read_model.events_failure = RuntimeError(SECRET)
    answer = await caller("GET", f"/v1/executions/{execution_id}/stream")
    assert (answer.status, answer.body) == (200, b"")
    assert SECRET in caplog.text
