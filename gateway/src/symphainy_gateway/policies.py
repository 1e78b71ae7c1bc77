"""Policies as clients send and see them. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from symphainy_gateway.callers import Caller
from symphainy_gateway.explaining import is_told_why
from symphainy_gateway.intents import JsonObject, optional, required
from symphainy_gateway.problems import Refused
from symphainy_runtime.policy.checking import Finding
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR, TENANT_ADMIN
from symphainy_schemas import ids
from symphainy_schemas.records import Intent, PolicySet, Stage

Text = Annotated[str, Meta(max_length=1_048_576, description="Cedar; empty for none of its own.")]
_GOVERNING = frozenset({PLATFORM_OPERATOR, TENANT_ADMIN})


class PolicyTexts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policies of a tenant, a Cedar text for each stage."""

    security_guard: Text = ""
    city_manager: Text = ""
    data_steward: Text = ""
    note: Annotated[str, Meta(max_length=2_000, description="Why, for people.")] = ""

    @property
    def texts(self) -> dict[Stage, str]:
        """By stage."""
        return {
            Stage.SECURITY_GUARD: self.security_guard,
            Stage.CITY_MANAGER: self.city_manager,
            Stage.DATA_STEWARD: self.data_steward,
        }


class PolicyQuestion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An intent about which policy is asked; nothing is stated."""

    intent_type: Annotated[str, Meta(pattern=ids.INTENT_TYPE.pattern)]
    payload: JsonObject = {}
    principal: str | None = None
    roles: tuple[str, ...] | None = None
    attributes: JsonObject | None = None
    priority: Annotated[int, Meta(ge=1, le=5)] = 3
    candidate: PolicyTexts | None = None


_texts = msgspec.json.Decoder(PolicyTexts)
_question = msgspec.json.Decoder(PolicyQuestion)


def read_texts(body: bytes) -> PolicyTexts:
    """The policies that a body states.

    Raises:
        Refused: it states something else.
    """
    return optional(body, _texts, PolicyTexts)


def read_question(body: bytes) -> PolicyQuestion:
    """The intent that a body asks about.

    Raises:
        Refused: it asks about something else.
    """
    return required(body, _question, PolicyQuestion)


def require_told_why(caller: Caller) -> None:
    """Raises `Refused` if the caller is not one to whom decisions are explained."""
    if not is_told_why(caller):
        raise _not_governing("see policies", "operator, auditor or tenant_admin")


def require_governing(caller: Caller, what: str = "change policies") -> None:
    """Raises `Refused` if the caller governs nothing. Whether it does, policy decides."""
    if _GOVERNING.isdisjoint(caller.roles):
        raise _not_governing(what, "tenant_admin")


def _not_governing(what: str, role: str) -> Refused:
    return Refused(
        f"The credential's roles do not let it {what}.",
        code="out_of_scope",
        cure=f"Use a credential with the role {role}.",
    )


def intent_of(question: PolicyQuestion, caller: Caller, now: int) -> Intent:
    """The intent that is asked about: the caller's own, or another principal's of the tenant."""
    own = question.principal in (None, caller.principal)
    roles = question.roles if question.roles is not None else caller.roles if own else ()
    known = caller.attributes if own else b""
    stated = question.attributes
    return Intent(
        intent_id=ids.new_intent_id(),
        intent_type=question.intent_type,
        realm=question.intent_type.split(".", 1)[0],
        session_id="",
        tenant_id=caller.tenant_id,
        principal=question.principal or caller.principal,
        correlation_id="",
        payload=msgspec.json.encode(question.payload),
        metadata=b"{}",
        solution_context=b"",
        created_at=now,
        priority=question.priority,
        roles=roles,
        attributes=known if stated is None else msgspec.json.encode(stated),
        authentication=caller.authentication,
    )


def policies_document(policies: PolicySet) -> dict[str, Any]:
    """A version of policies."""
    return {
        "scope": policies.scope,
        "version": policies.version,
        "sha256": policies.sha256.hex(),
        "security_guard": policies.security_guard,
        "city_manager": policies.city_manager,
        "data_steward": policies.data_steward,
        "note": policies.note,
        "created_at": policies.created_at,
        "created_by": policies.created_by,
    }


def unsound(findings: list[Finding]) -> Refused:
    """The refusal of policies that cannot be put in force: the first finding, and how many."""
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return Refused(
        f"{first.rule}: {first.message}{more}",
        code="policy_unsound",
        field=f"/{first.stage}",
        cure="See docs/policy.md; `symphainy policy apply --dry-run` lists all.",
    )
