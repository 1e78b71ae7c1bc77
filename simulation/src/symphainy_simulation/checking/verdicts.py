"""What policy says of an intent, asked of Cedar anew and by another way than the product's engine.

Each scope's text is asked by itself, as it stands in `config`, and what the platform and the tenant
say is put together here. What a text does not name it cannot ask, so that is left out, and equal
questions are asked once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import cedarpy
import msgspec

from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_schemas.records import PLATFORM, Intent, PolicySet, Stage, StageDecision

DATA = "artifact://"
UNKNOWN = ("context.session", "context.target", "context has session", "context has target")
"""What an intent alone does not tell."""
_NAME = re.compile(r'@id\("([^"]+)"\)')
_RULE = re.compile(r"\b(?:permit|forbid)\s*\(")
_RESERVED = frozenset({"tenant", "name", "authentication"})
_MOST = 1_000


class Said(NamedTuple):
    """What one text says: whether it permits, and which of its policies say so."""

    allowed: bool
    policies: tuple[str, ...]
    broken: bool = False


class Verdict(NamedTuple):
    """What one stage decides."""

    stage: str
    allowed: bool
    policies: tuple[str, ...]

    @classmethod
    def recorded(cls, one: StageDecision) -> Verdict:
        """The same, as the journal has it."""
        return cls(one.stage, one.allowed, tuple(sorted(one.policies)))


class Question(NamedTuple):
    """An intent, as policies see it."""

    intent: Intent
    scope: str
    """The tenant that it is about."""
    at: int
    """When it was decided, ms since the epoch."""


def text_of(policies: PolicySet, stage: Stage) -> str:
    """A set's text for a stage."""
    return str(getattr(policies, stage.value))


def can_be_judged(*sets: PolicySet | None) -> bool:
    """Whether these policies ask only what the intent tells."""
    texts = [text_of(one, stage) for one in sets if one is not None for stage in Stage]
    return not any(name in text for name in UNKNOWN for text in texts)


def verdicts(
    question: Question, platform: PolicySet, tenant: PolicySet | None
) -> Iterator[frozenset[Verdict]]:
    """What each stage may decide, up to the first that refuses: one verdict, or where several
    pieces of data are refused, that on any of them."""
    about = question.intent.tenant_id
    if question.intent.intent_type in GOVERNANCE:
        about = question.scope
    realm = question.intent.intent_type.split(".", 1)[0]
    name = question.intent.intent_type
    guard = _stage(Stage.SECURITY_GUARD, ("Capability", name, {"realm": realm, "tenant": about}),
                   question, platform, tenant)  # fmt: skip
    yield frozenset((guard,))
    if not guard.allowed:
        return
    place = ("Tenant", question.scope, {"tenant": question.scope})
    manager = _stage(Stage.CITY_MANAGER, place, question, platform, tenant)
    yield frozenset((manager,))
    if manager.allowed:
        yield _data(question, platform, tenant)


def _data(question: Question, platform: PolicySet, tenant: PolicySet | None) -> frozenset[Verdict]:
    stage, names = Stage.DATA_STEWARD, sorted(_references(question.intent))
    if len(names) > _MOST:
        return frozenset((Verdict(stage, False, ()),))
    asked = [
        _stage(stage, ("Data", one, _known(question.intent, one)), question, platform, tenant)
        for one in names
    ]
    refused = frozenset(one for one in asked if not one.allowed)
    if refused:
        return refused
    return frozenset((Verdict(stage, True, _sorted(p for one in asked for p in one.policies)),))


def _known(intent: Intent, reference: str) -> dict[str, Any]:
    about: dict[str, Any] = {"tenant": reference.removeprefix(DATA).split("/", 1)[0]}
    own = intent.payload_ref
    if own is not None and own.uri == reference:
        about |= {"size": own.size, "media_type": own.media_type}
    return about


def _references(intent: Intent) -> set[str]:
    if intent.payload_ref is not None:
        return {intent.payload_ref.uri}
    waiting, found = [_read(intent.payload)], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and value.startswith(DATA):
            found.add(value)
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return found


# --- one stage ----------------------------------------------------------------------------------


def _stage(
    stage: Stage,
    resource: tuple[str, str, dict[str, Any]],
    question: Question,
    platform: PolicySet,
    tenant: PolicySet | None,
) -> Verdict:
    """The platform's prohibitions hold for all; what is permitted the tenant's own policies say, or
    where it has none, the platform's."""
    general = _ask(PLATFORM, stage, text_of(platform, stage), question, resource)
    own = "" if tenant is None else text_of(tenant, stage)
    answers = [general]
    if tenant is not None and _RULE.search(own):
        answers.append(_ask(tenant.scope, stage, own, question, resource))
    if any(one.broken for one in answers):
        return Verdict(stage, False, ())
    forbidden = [p for one in answers if not one.allowed for p in one.policies]
    if forbidden:
        return Verdict(stage, False, _sorted(forbidden))
    return Verdict(stage, answers[-1].allowed, answers[-1].policies)


def _ask(
    scope: str,
    stage: Stage,
    text: str,
    question: Question,
    resource: tuple[str, str, dict[str, Any]],
) -> Said:
    intent = question.intent
    mine = {
        **{k: v for k, v in _object(intent.attributes).items() if k not in _RESERVED},
        "tenant": intent.tenant_id,
        "name": intent.principal,
        "authentication": intent.authentication or "none",
    }
    identity = f"{intent.tenant_id}/{intent.principal}"
    kind, name, about = resource
    return _answer(
        f"{scope}/{stage}",
        text,
        identity if identity in text else "",
        _encoded(mine, text),
        tuple(sorted({role for role in intent.roles if role in text})),
        intent.intent_type,
        (kind, name if name in text else "", _encoded(about, text)),
        _encoded(_context(question), text),
    )


@lru_cache(maxsize=100_000)
def _answer(
    place: str,
    text: str,
    principal: str,
    has: bytes,
    roles: tuple[str, ...],
    action: str,
    resource: tuple[str, str, bytes],
    context: bytes,
) -> Said:
    names = _NAME.findall(text)
    kind, name, about = resource
    group = [{"type": "Action", "id": action.split(".", 1)[0]}]
    entities = [
        _entity("Principal", principal, has, [{"type": "Role", "id": role} for role in roles]),
        _entity(kind, name, about, []),
        _entity("Action", action, b"{}", group),
    ]
    request = {
        "principal": {"type": "Principal", "id": principal},
        "action": {"type": "Action", "id": action},
        "resource": {"type": kind, "id": name},
        "context": msgspec.json.decode(context),
    }
    result = cedarpy.is_authorized(request, text, entities)
    numbers = [int(one.removeprefix("policy")) for one in result.diagnostics.reasons]
    found = _sorted(f"{place}/{names[n] if len(names) > n else f'policy{n}'}" for n in numbers)
    return Said(bool(result.allowed), found, bool(result.diagnostics.errors))


def _entity(kind: str, name: str, has: bytes, parents: list[dict[str, str]]) -> dict[str, Any]:
    uid = {"type": kind, "id": name}
    return {"uid": uid, "attrs": msgspec.json.decode(has), "parents": parents}


def _context(question: Question) -> dict[str, Any]:
    intent, at = question.intent, datetime.fromtimestamp(question.at / 1_000, UTC)
    own = intent.payload_ref
    found: dict[str, Any] = {
        "priority": intent.priority,
        "payload_bytes": len(intent.payload) if own is None else own.size,
        "invoked": bool(intent.causation_id),
        "time": {"hour": at.hour, "weekday": at.isoweekday()},
    }
    payload = None if own is not None else _read(intent.payload)
    if isinstance(payload, dict):
        found["payload"] = _for_cedar(payload)
    return found


def _encoded(members: Mapping[str, Any], text: str) -> bytes:
    """The members that a text names; of objects, their members that it names."""
    return msgspec.json.encode(_named(members, text), order="deterministic")


def _named(value: Any, text: str) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _named(member, text) for name, member in value.items() if name in text}


def _for_cedar(value: Any) -> Any:
    """What Cedar has a type for."""
    if isinstance(value, dict):
        return {k: _for_cedar(v) for k, v in value.items() if _has_type(v)}
    if isinstance(value, list):
        return [_for_cedar(v) for v in value if _has_type(v)]
    return value


def _has_type(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return value is not None and not isinstance(value, float)


def _object(data: bytes) -> dict[str, Any]:
    read = _read(data) if data else None
    return _for_cedar(read) if isinstance(read, dict) else {}


def _read(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
