"""JSON Schemas, compiled once, and what breaks them as violations with JSON pointers.

The owner decides about contracts; the gateway only foresees its decision. So a schema that does
not compile is no refusal here. A schema never makes the gateway read a file or the network.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from symphainy_gateway.problems import Violation
from symphainy_schemas.records import Capability

log = logging.getLogger(__name__)
VIOLATIONS_MAX = 20
_MESSAGE_MAX = 500


class Schema:
    """One compiled JSON Schema."""

    def __init__(self, schema: Mapping[str, Any] | str | bool) -> None:
        """Raises ValueError if it is no JSON Schema, or refers to something outside itself."""
        plain = dict(schema) if isinstance(schema, Mapping) else schema
        self._validator = jsonschema_rs.validator_for(plain, offline=True)

    def holds(self, value: Any) -> bool:
        """Whether the value keeps the schema."""
        return self._validator.is_valid(value)

    def violations(self, value: Any, below: str = "") -> tuple[Violation, ...]:
        """What is wrong with the value, at most 20 things; `below` goes before each pointer."""
        found: list[Violation] = []
        for error in self._validator.iter_errors(value):
            found.append(Violation(below + _pointer(error), str(error.message)[:_MESSAGE_MAX]))
            if len(found) == VIOLATIONS_MAX:
                break
        return tuple(found)


class Contracts:
    """The input contracts of capabilities, compiled once per (name, version)."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, int], Schema | None] = {}

    def violations(self, capability: Capability, payload: Any) -> tuple[Violation, ...]:
        """How the payload breaks the capability's input contract; empty if it does not."""
        key = (capability.name, capability.version)
        try:
            contract = self._compiled[key]
        except KeyError:
            contract = self._compiled[key] = _compile(capability)
        if contract is None or contract.holds(payload):
            return ()
        return contract.violations(payload, "/payload")


def _compile(capability: Capability) -> Schema | None:
    try:
        return Schema(capability.input_contract.decode()) if capability.input_contract else None
    except ValueError as error:
        log.warning("contract of %s v%d: %s", capability.name, capability.version, error)
        return None


def _pointer(error: jsonschema_rs.ValidationError) -> str:
    """Where the error is; a property that is missing or too much is named itself."""
    path = list(error.instance_path)
    match error.kind:
        case jsonschema_rs.ValidationErrorKind.Required(property=name):
            path.append(str(name).strip('"'))
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=[name, *_]):
            path.append(name)
        case _:
            pass
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
