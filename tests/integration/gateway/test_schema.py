"""The gateway keeps its own OpenAPI document: schemathesis finds nothing else.

No server error; no status, media type, header or body that the document does not have; what the
document excludes is refused; what needs a key is refused without it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from tests.support.system import System
from tests.unit.gateway.caller import Caller

from symphainy_gateway.openapi import compose

BATCH = "/v1/intents:batch"


@schemathesis.serializer("application/x-ndjson")
def _one_line(_: Any, value: Any) -> bytes:
    return msgspec.json.encode(value)


@schemathesis.deserializer("application/x-ndjson")
def _first_line(_: Any, response: Any) -> Any:
    return msgspec.json.decode(response.content.splitlines()[0])


# The document does not depend on what is behind the gateway.
schema = schemathesis.openapi.from_dict(compose(Caller().app))


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_gateway_keeps_its_document(case: Case[Any], system: System) -> None:
    # Some of what a schema cannot say is refused too: ids that differ, a realm of another type.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    if case.path == BATCH:
        excluded = [*excluded, negative_data_rejection]  # a bad line is refused in its own answer
    case.call_and_validate(
        system.url, headers={"Authorization": f"Bearer {system.key}"}, excluded_checks=excluded
    )
