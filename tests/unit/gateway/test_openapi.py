"""The OpenAPI document.

- Every route is in it; every reference in it leads somewhere; every example keeps its schema.
- Every code of a problem is documented with its status somewhere.
- Every answer that asks to come back says that it tells when.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import validator_for
from starlette.routing import Route
from tests.unit.gateway.caller import Caller

from symphainy_gateway.problems import KINDS


@pytest.fixture(scope="module")
async def document() -> Any:
    return (await Caller()("GET", "/openapi.json", key="")).json


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _walk(one)


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_is_documented(document: Any) -> None:
    documented = {(method, path) for method, path, _ in _operations(document)}
    routed = {
        (method, route.path)
        for route in Caller().app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    assert documented == routed


def test_every_reference_leads_somewhere(document: Any) -> None:
    named = document["components"]["schemas"]
    references = {it["$ref"] for it in _walk(document) if "$ref" in it}
    assert references
    assert {it.removeprefix("#/components/schemas/") for it in references} <= set(named)


def test_every_schema_is_one(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        validator_for({**schema, "components": document["components"]})


def test_every_example_keeps_its_schema(document: Any) -> None:
    for _, _, operation in _operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"]["$ref"].rsplit("/", 1)[1]
            validator_for(document["components"]["schemas"][name]).validate(content["example"])
        for parameter in operation.get("parameters", ()):
            for example in parameter["schema"].get("examples", ()):
                validator_for(parameter["schema"]).validate(example)


def test_every_path_parameter_is_documented(document: Any) -> None:
    for _, path, operation in _operations(document):
        stated = {it["name"] for it in operation.get("parameters", ()) if it["in"] == "path"}
        assert stated == set(re.findall(r"{(\w+)}", path))


def test_every_operation_says_what_it_does_and_who_may(document: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(ids) == len(set(ids))
    for _, path, operation in _operations(document):
        assert operation["description"]
        assert operation["security"] == (
            [{"apiKey": []}, {"jwt": []}] if path.startswith("/v1") else []
        )


def test_every_answer_that_asks_to_come_back_tells_when(document: Any) -> None:
    asking = [
        response
        for _, _, operation in _operations(document)
        for status, response in operation["responses"].items()
        if status in ("429", "503")
    ]
    assert asking
    for response in asking:
        assert response["headers"] == {"Retry-After": {"schema": {"type": "integer"}}}


def test_every_way_into_the_log_may_be_refused_for_load(document: Any) -> None:
    for method, path in (
        ("post", "/v1/intents"),
        ("post", "/v1/sessions"),
        ("delete", "/v1/sessions/{session_id}"),
    ):
        responses = document["paths"][path][method]["responses"]
        assert "`backlogged`" in responses["429"]["description"]
        assert "`kafka_busy`" in responses["503"]["description"]


def test_every_problem_is_documented_with_its_status(document: Any) -> None:
    documented = set()
    for _, _, operation in _operations(document):
        for status, response in operation["responses"].items():
            if "application/problem+json" in response.get("content", {}):
                codes = re.findall(r"`(\w+)`", response["description"])
                assert all(str(KINDS[code].status) == status for code in codes)
                documented |= set(codes)
    # Neither is an answer to an operation: nobody is there to read it, and no operation is meant.
    assert documented == set(KINDS) - {"client_disconnected", "route_not_found"}
