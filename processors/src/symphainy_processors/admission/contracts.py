"""Contracts: JSON Schemas of capabilities, compiled once per (name, version)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

from symphainy_schemas.records import Capability, Error

Contract = Callable[[Any], Error | None]


class Contracts:
    """Compiled input contracts."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, int], Contract] = {}

    def of(self, capability: Capability) -> Contract:
        """What says whether a payload keeps the capability's input contract."""
        key = (capability.name, capability.version)
        contract = self._compiled.get(key)
        if contract is None:
            contract = self._compiled[key] = _compile(capability)
        return contract


def _compile(capability: Capability) -> Contract:
    try:
        # Offline: a contract's $ref must not make the owner reach for a file or an address.
        validator = jsonschema_rs.validator_for(capability.input_contract.decode(), offline=True)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        broken = Error(
            code="contract_unusable",
            message=f"The contract of {capability.name} is no JSON Schema: {error}",
            operator_action="Register the capability again with a correct contract.",
        )
        return lambda payload: broken
    return lambda payload: None if validator.is_valid(payload) else _violation(validator, payload)


def _violation(validator: Any, payload: Any) -> Error:
    first = next(iter(validator.iter_errors(payload)))
    pointer = "".join(f"/{part}" for part in first.instance_path)
    return Error(
        code="contract_violation",
        message=str(first.message)[:500],
        field=f"/payload{pointer}",
        cure="Send what the capability's input contract asks: GET /v1/capabilities.",
    )
