"""An execution's document as a saga: its steps in the order of the plan, and how each is undone.

Pure. An execution of one handler is a saga of one step. Behind a step that is run for each element
of a list stand those of its elements; itself it shows what most is to be known of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct

from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas.ids import compensation_of, is_compensation, number_of

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
    for_each: Annotated[Any, Meta(description="A list; null: it is run once.")] = None
    element_of: Annotated[str, Meta(description="The step that is run for each, if one is.")] = ""
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
        steps=tuple(
            step for planned in plan for step in _steps(document, planned, known, len(plan) == 1)
        ),
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


def _steps(
    document: Document, planned: Document, known: dict[str, Document], is_only: bool
) -> Iterator[SagaStep]:
    name = planned["step"]
    if not planned.get("for_each"):
        yield _step(document, planned, known, is_only)
        return
    begun = sorted((x for x in known if x.startswith(f"{name}[")), key=number_of)
    if begun:
        undone = [known[undo] for x in begun if (undo := compensation_of(x)) in known]
        summed = {compensation_of(name): _sum(undone)} if undone else {}
        known = {**known, **summed, name: _sum([known[x] for x in begun])}
    yield _step(document, planned, known, is_only)
    for one in begun:
        yield _step(document, {**planned, "step": one}, known, False, element_of=name)


def _sum(several: list[Document]) -> Document:
    """What most is to be known of several steps: one that failed, else one that moves."""
    status = min((x["status"] for x in several), key=_RANKS.index)
    begun = [x["started_at"] for x in several if x.get("started_at")]
    ended = [x.get("ended_at") for x in several]
    return {
        "status": status,
        "started_at": min(begun, default=None),
        "ended_at": _latest(ended),
    }


def _latest(moments: Iterable[int | None]) -> int | None:
    known = list(moments)
    return None if None in known else max((x for x in known if x is not None), default=None)


_RANKS = (
    "failed",
    "started",
    "dispatched",
    "ready",
    "backing_off",
    "suspended",
    "held",
    "cancelled",
    "succeeded",
    "skipped",
    NOT_BEGUN,
)


def _step(
    document: Document,
    planned: Document,
    known: dict[str, Document],
    is_only: bool,
    element_of: str = "",
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
        for_each=planned.get("for_each"),
        element_of=element_of,
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
