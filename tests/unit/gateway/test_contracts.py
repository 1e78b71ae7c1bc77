"""Contracts.

- A violation points at the member that is wrong, missing or too much.
- A contract that does not compile, or that refers outside itself, is no refusal and no access.
- A contract is compiled once per (name, version).
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.gateway.fakes import CONTRACT, capability

from symphainy_gateway.contracts import VIOLATIONS_MAX, Contracts, Schema
from symphainy_gateway.problems import Violation


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({"n": 1}, set()),
        ({}, {"/payload/n"}),
        ({"n": "x"}, {"/payload/n"}),
        ({"n": 1, "a/b": 2}, {"/payload/a~1b"}),
        ({"n": "x", "m": 1}, {"/payload/n", "/payload/m"}),
    ],
)
def test_violations_point_at_their_members(payload: object, fields: set[str]) -> None:
    violations = Contracts().violations(capability(), payload)
    assert {violation.field for violation in violations} == fields


def test_violations_are_bounded() -> None:
    schema = Schema({"items": {"type": "string"}})
    assert len(schema.violations([1] * 100)) == VIOLATIONS_MAX


@pytest.mark.parametrize(
    "contract",
    [{"type": 5}, {"$ref": "file:///etc/hostname"}, {"$ref": "http://127.0.0.1:9/x"}, []],
)
def test_an_unusable_contract_refuses_nothing(contract: object) -> None:
    assert Contracts().violations(capability(contract=contract), {"n": 1}) == ()


def test_no_contract_refuses_nothing() -> None:
    assert Contracts().violations(replace(capability(), input_contract=b""), {"x": 1}) == ()


def test_a_new_version_has_its_own_contract() -> None:
    contracts = Contracts()
    first = capability()
    second = replace(capability(contract={**CONTRACT, "required": []}), version=2)
    assert contracts.violations(first, {})
    assert contracts.violations(second, {}) == ()
    again = replace(first, input_contract=b"true")
    assert contracts.violations(again, {}) == (
        Violation("/payload/n", '"n" is a required property'),
    )
