"""The Cedar schema of each stage: from the capabilities that are registered, the tenants and the
keys that are known. By it policies are checked before they are put in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from symphainy_runtime.policy.actions import CONTROLS, OWN, REPLAY, realm_of
from symphainy_schemas.records import ApiKey, Capability, Stage, Tenant

_TEXT, _NUMBER, _TRUTH = {"type": "String"}, {"type": "Long"}, {"type": "Boolean"}
_SCALARS: Mapping[str, Any] = {"string": _TEXT, "integer": _NUMBER, "boolean": _TRUTH}
RESOURCES: Mapping[Stage, str] = {
    Stage.SECURITY_GUARD: "Capability",
    Stage.CITY_MANAGER: "Tenant",
    Stage.DATA_STEWARD: "Data",
}
MOST_DEPTH = 8
"""Levels of a payload that policies can name."""

OF_SESSION = "session."
"""Begins the names of declared attributes of sessions."""


def schema_of(
    stage: Stage,
    capabilities: Iterable[Capability],
    tenants: Iterable[Tenant] = (),
    keys: Iterable[ApiKey] = (),
    declared: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The schema of one stage, in Cedar's JSON form.

    `declared` names attributes of principals that no key has yet, such as a token's claims, and
    those of sessions (`session.stage`), each with its type: String, Long, Boolean or Set<String>.
    """
    sessions = {
        name.removeprefix(OF_SESSION): _optional(_declared(kind))
        for name, kind in (declared or {}).items()
        if name.startswith(OF_SESSION)
    }
    declared = {n: kind for n, kind in (declared or {}).items() if not n.startswith(OF_SESSION)}
    known = {one.name: one for one in capabilities}
    actions: dict[str, Any] = {realm_of(name): {} for name in (*known, *OWN)}
    for name in (*known, *sorted(OWN)):
        actions[name] = {
            "memberOf": [{"id": realm_of(name)}],
            "appliesTo": {
                "principalTypes": ["Principal"],
                "resourceTypes": [RESOURCES[stage]],
                "context": _context(name, known.get(name), sessions),
            },
        }
    return {"": {"entityTypes": _entities(tenants, keys, declared), "actions": actions}}


def _entities(
    tenants: Iterable[Tenant], keys: Iterable[ApiKey], declared: Mapping[str, str]
) -> dict[str, Any]:
    people = _attributes(key.attributes for key in keys)
    people |= {name: _optional(_declared(kind)) for name, kind in declared.items()}
    named = {"tenant": _TEXT, "name": _TEXT, "authentication": _TEXT}
    places = _attributes(tenant.attributes for tenant in tenants)
    about = {"tenant": _TEXT, "size": _optional(_NUMBER), "media_type": _optional(_TEXT)}
    return {
        "Role": {},
        "Principal": {"memberOfTypes": ["Role"], "shape": _record({**people, **named})},
        "Capability": {"shape": _record({"realm": _TEXT, "tenant": _TEXT})},
        "Tenant": {"shape": _record({**places, "tenant": _TEXT})},
        "Data": {"shape": _record(about)},
    }


def _context(
    name: str, capability: Capability | None, sessions: Mapping[str, Any]
) -> dict[str, Any]:
    members: dict[str, Any] = {
        "priority": _NUMBER,
        "payload_bytes": _NUMBER,
        "invoked": _TRUTH,
        "session": _optional(_record({"principal": _TEXT, "attributes": _record(sessions)})),
        "time": _record({"hour": _NUMBER, "weekday": _NUMBER}),
    }
    if name in CONTROLS:
        about = {"intent_type": _TEXT, "principal": _TEXT, "realm": _TEXT}
        members["target"] = _optional(_record(about))
    if name == REPLAY:
        members["mode"] = _TEXT
    if capability is not None:
        contract = msgspec.json.decode(capability.input_contract)
        payload = _of_contract(contract, contract, MOST_DEPTH)
        if payload is not None and payload["type"] == "Record":
            members["payload"] = _optional(payload)
    return _record(members)


def _of_contract(contract: Any, root: Any, depth: int) -> dict[str, Any] | None:
    """The Cedar type of what fits a JSON Schema; None where Cedar has none, or it may be several.

    Everything is optional: what a policy asks of a payload, it asks whether it is there first.
    """
    contract = _resolved(contract, root)
    if not isinstance(contract, dict) or depth == 0:
        return None
    kind = contract.get("type")
    if kind is None:
        choices = [
            one for one in contract.get("anyOf", ()) if _resolved(one, root) != {"type": "null"}
        ]
        return _of_contract(choices[0], root, depth) if len(choices) == 1 else None
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if kind == "array":
        items = _of_contract(contract.get("items"), root, depth - 1)
        return None if items is None else {"type": "Set", "element": items}
    if kind == "object":
        typed = {
            name: _of_contract(part, root, depth - 1)
            for name, part in contract.get("properties", {}).items()
        }
        return _record({name: _optional(one) for name, one in typed.items() if one is not None})
    return None


def _resolved(contract: Any, root: Any) -> Any:
    """What a local `$ref` stands for."""
    for _ in range(MOST_DEPTH):
        reference = contract.get("$ref") if isinstance(contract, dict) else None
        if not isinstance(reference, str):
            return contract
        contract = root
        for name in reference.removeprefix("#/").split("/"):
            contract = contract.get(name) if isinstance(contract, dict) else None
    return None


def _attributes(objects: Iterable[bytes]) -> dict[str, Any]:
    """The types of attributes that are in use; left out where two disagree."""
    found: dict[str, Any] = {}
    for data in objects:
        for name, value in (msgspec.json.decode(data) if data else {}).items():
            kind = _of_value(value)
            if kind is not None:
                same = found.setdefault(name, kind) == kind
                found[name] = kind if same else None
    return {name: _optional(kind) for name, kind in found.items() if kind is not None}


def _of_value(value: Any) -> dict[str, Any] | None:
    if isinstance(value, bool):
        return dict(_TRUTH)
    if isinstance(value, str):
        return dict(_TEXT)
    if isinstance(value, int):
        return dict(_NUMBER)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return {"type": "Set", "element": dict(_TEXT)}
    return None


def _declared(kind: str) -> dict[str, Any]:
    if kind.startswith("Set<") and kind.endswith(">"):
        return {"type": "Set", "element": {"type": kind[4:-1]}}
    return {"type": kind}


def _optional(kind: dict[str, Any]) -> dict[str, Any]:
    return {**kind, "required": False}


def _record(members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Record", "attributes": dict(members)}
