"""An execution's document as a saga: its steps in the order of the plan, and how each is undone.

Pure. An execution of one handler is a saga of one step.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas.ids import compensation_of, is_compensation

NOT_BEGUN = "not_begun"
_Ms = Annotated[int | None, Meta(description="Ms since the epoch.")]
_Error = dict[str, Any] | None
_Asked = Annotated[
    dict[str, Any] | None,
    Meta(description="Who asked for it (`by`), when (`at`), and why (`reason`)."),
]
_Status = Annotated[str, Meta(description="`not_begun`, or as the steps of an execution have it.")]


class SagaCompensation(Struct, frozen=True, kw_only=True):
    """How a step is undone; `step` is the name under which that is tried again."""

    step: str
    handler: str
    status: _Status = NOT_BEGUN
    attempt: int = 0
    worker: str = ""
    started_at: _Ms = None
    ended_at: _Ms = None
    due_at: _Ms = None
    error: _Error = None


class SagaStep(Struct, frozen=True, kw_only=True):
    """A step of a saga; no `compensation` where nothing undoes it."""

    step: str
    intent_type: str
    realm: str
    version: Annotated[int | None, Meta(description="Of the capability; null where unknown.")]
    needs: tuple[str, ...]
    condition: Annotated[Any, Meta(description="Null: it always begins.")]
    compensation: SagaCompensation | None
    status: _Status = NOT_BEGUN
    attempt: Annotated[int, Meta(description="From 1; 0 before it begins.")] = 0
    delivery: int = 0
    worker: str = ""
    started_at: _Ms = None
    ended_at: _Ms = None
    due_at: Annotated[int | None, Meta(description="Of its next attempt, ms.")] = None
    waits: Annotated[list[Any], Meta(description="What its handler waits for.")] = []
    error: _Error = None
    result: Any = None


class Saga(Struct, frozen=True, kw_only=True):
    """An execution as a saga, as of a journal offset."""

    execution_id: str
    intent_type: str
    session_id: str
    status: str
    success: bool
    ended: bool
    as_of: int
    started_at: _Ms
    ended_at: _Ms
    execution_time_ms: int | None
    error: _Error
    cancel: _Asked
    paused: _Asked
    compensation: _Asked
    result: Any
    steps: tuple[SagaStep, ...]


def saga_of(document: Document) -> Saga:
    """The saga that an execution's document tells of."""
    known: dict[str, Document] = {one["step"]: one for one in document["steps"]}
    plan: list[Document] = document["plan"] or [
        _alone(document, step) for step in known if not is_compensation(step)
    ]
    return Saga(
        execution_id=document["execution_id"],
        intent_type=document["intent_type"],
        session_id=document["session_id"],
        status=document["status"],
        success=document["success"],
        ended=ended(document),
        as_of=document["as_of"],
        started_at=document["started_at"],
        ended_at=document.get("ended_at"),
        execution_time_ms=document["execution_time_ms"],
        error=document["error"],
        cancel=document["cancel"],
        paused=document["paused"],
        compensation=document["compensation"],
        result=document.get("result"),
        steps=tuple(_step(document, planned, known, len(plan) == 1) for planned in plan),
    )


def _alone(document: Document, step: str) -> Document:
    """What a plan would say of the one step of an execution that has none."""
    return {
        "step": step,
        "intent_type": document["intent_type"],
        "realm": document["realm"],
        "version": None,
        "needs": (),
        "condition": None,
        "compensation": None,
    }


def _step(
    document: Document, planned: Document, known: dict[str, Document], is_only: bool
) -> SagaStep:
    shown = dict(known.get(planned["step"], {}))
    if is_only and shown.get("status") == "succeeded":
        shown.setdefault("result", document.get("result"))  # stands at the top of the document
    return SagaStep(
        step=planned["step"],
        intent_type=planned["intent_type"],
        realm=planned["realm"],
        version=planned["version"],
        needs=tuple(planned["needs"]),
        condition=planned["condition"],
        compensation=_compensation(planned, known),
        **_members(shown, _OF_A_STEP),
    )


def _compensation(planned: Document, known: dict[str, Document]) -> SagaCompensation | None:
    if not planned["compensation"]:
        return None
    name = compensation_of(planned["step"])
    shown = known.get(name, {})
    return SagaCompensation(
        step=name, handler=planned["compensation"], **_members(shown, _OF_A_COMPENSATION)
    )


_OF_A_COMPENSATION = frozenset(SagaCompensation.__struct_fields__) - {"step", "handler"}
_OF_A_STEP = _OF_A_COMPENSATION | {"delivery", "waits", "result"}


def _members(shown: Document, names: frozenset[str]) -> dict[str, Any]:
    return {name: shown[name] for name in names if name in shown}
