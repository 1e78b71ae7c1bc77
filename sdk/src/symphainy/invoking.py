"""What a handler invokes: an intent of its own, and how that ended. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError

from symphainy.errors import ChildFailed, ContractViolation
from symphainy.values import check_size, to_json
from symphainy_schemas import ids
from symphainy_schemas.records import Call, Task

if TYPE_CHECKING:
    from symphainy.handlers import Handler
    from symphainy.plans.declaring import DeclaredPlan

    Target: TypeAlias = str | Handler[Any, Any] | DeclaredPlan[Any]
Payload = BaseModel | Mapping[str, Any]
_RUNTIME = "runtime"


def call_of(target: Target, payload: Payload, limit: int, *, awaited: bool) -> Call:
    """The intent that is stated; its payload has at most `limit` bytes.

    Raises:
        ContractViolation: it is no intent that a handler may state.
    """
    intent_type = target if isinstance(target, str) else target.intent_type
    realm = getattr(target, "realm", "") or intent_type.partition(".")[0]
    if ids.INTENT_TYPE.fullmatch(intent_type) is None or realm == _RUNTIME:
        raise ContractViolation(
            f"{intent_type!r:.80} is nothing that a handler invokes.",
            code="bad_invocation",
            cure="Name a handler, a plan, or an intent type of a realm: for example "
            "content.ingest_file.",
        )
    what = f"The payload for {intent_type}"
    data = check_size(to_json(payload, what), limit, what, "payload_too_large")
    if not data.startswith(b"{"):
        raise ContractViolation(
            f"{what} is no JSON object.",
            code="bad_invocation",
            cure="Hand over a pydantic model or a dict.",
        )
    return Call(intent_type=intent_type, realm=realm, payload=data, awaited=awaited)


def child_of(task: Task, name: str) -> str:
    """The execution of what a task's handler invokes under a name, as the runtime will name it."""
    intent_id = ids.child_intent_id(task.token, name)
    return ids.execution_id(task.tenant_id, task.session_id, intent_id, task.partition)


def recorded_child(recorded: bytes) -> str:
    """The execution that is recorded of an invocation."""
    return str(json.loads(recorded))


def result_of(target: Target, intent_type: str, child: str, outcome: bytes) -> Any:
    """What was invoked has returned that.

    Raises:
        ChildFailed: it has not succeeded.
        ContractViolation: `child_unreadable`, its result is not what the handler returns here.
    """
    told = json.loads(outcome)
    error = told["error"]
    if told["status"] != "succeeded" or error is not None:
        error = error or {}
        raise ChildFailed(
            f"{intent_type} ({child}) has ended as {told['status']}: "
            f"{error.get('message') or 'no reason was given'}",
            execution_id=child,
            status=told["status"],
            code=error.get("code", ""),
            field=error.get("field", ""),
            cure=error.get("cure", ""),
        )
    read = _reader(target)
    if read is None:
        return told["result"]
    try:
        return read.validate_python(told["result"])
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]["msg"]
        raise ContractViolation(
            f"The result of {intent_type} ({child}) does not fit: {first}",
            code="child_unreadable",
            cure="Invoke it by its intent type, and read the result as it is.",
        ) from fault


def _reader(target: Target) -> TypeAdapter[Any] | None:
    """What reads a handler's result as the models that it declares; None if it declares none."""
    if isinstance(target, str) or not getattr(target, "output_contract", b""):
        return None
    returns = getattr(target, "returns", ())
    return _adapter(returns) if returns else None


@lru_cache(maxsize=128)
def _adapter(returns: tuple[type, ...]) -> TypeAdapter[Any]:
    """Made once for each, as for `ctx.step`: it costs more than all else that is done here."""
    return TypeAdapter(reduce(or_, returns))
