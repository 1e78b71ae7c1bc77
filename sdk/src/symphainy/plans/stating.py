"""From what an author states to the templates of the runtime, `symphainy_schemas.templates`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from symphainy.errors import ContractViolation, DeclarationError
from symphainy.plans.steps import Plan, Step
from symphainy.plans.values import EACH, Condition, Value
from symphainy.values import to_json
from symphainy_schemas import templates

TEMPLATE_BYTES = 65_536
# A plan stands in the journal record of each admission beside its payload, and in its capability.
TEMPLATES_BYTES = 131_072


def input_of(step: Step[Any], where: str) -> bytes:
    """What the step gets; empty for the whole payload. Run for an element, it gets that.

    Raises:
        DeclarationError: it is no JSON object, or too large.
    """
    stated = EACH if step.input is None and step.for_each is not None else step.input
    if stated is None:
        return b""
    if isinstance(stated, Value) and (stated.source, stated.pointer) == (templates.PAYLOAD, ""):
        return b""  # the runtime then hands it through, however large it is
    if not isinstance(stated, Value | Mapping | BaseModel):
        raise bad(
            f"{where} gets a {type(stated).__name__}",
            "An input is an object: a dict, a model, or a value of the payload or of a step.",
        )
    return _encoded(template(stated, where), where)


def condition_of(step: Step[Any], where: str) -> bytes:
    """When the step is carried out; empty for always.

    Raises:
        DeclarationError: it is no condition.
    """
    when = step.when
    if when is None:
        return b""
    if not isinstance(when, Condition):
        raise bad(
            f"{where} has a {type(when).__name__} as its condition",
            'Write when=step.result["field"].is_(…), .is_in([…]) or .is_not(…).',
        )
    if not when.among:
        raise bad(f"{where} compares with no value", "Give .is_in([…]) at least one.")
    if any(True for one in when.among for _ in references(template(one, where))):
        raise bad(
            f"{where} compares two values of the execution",
            "Compare with what is written in the plan, or let a step decide.",
        )
    reference = templates.reference(when.value.source, when.value.pointer)
    among = [template(one, where) for one in when.among]
    negated = {templates.NOT: True} if when.negated else {}
    return _encoded({**reference, templates.IN: among, **negated}, where)


def output_of(plan: Plan, where: str) -> bytes:
    """The plan's result; empty if it states none.

    Raises:
        DeclarationError: it is no JSON, or too large.
    """
    return b"" if plan.result is None else _encoded(template(plan.result, where), where)


def template(stated: Any, where: str, at: str = "") -> Any:
    """JSON, with references for values.

    Raises:
        DeclarationError: something in it is neither.
    """
    place = f"{where}{' at ' + at if at else ''}"
    if isinstance(stated, Value):
        return templates.reference(stated.source, stated.pointer)
    if isinstance(stated, Step | Condition):
        raise bad(
            f"{place} holds {stated!r}",
            "Use its result: step.result, or step.result[…]."
            if isinstance(stated, Step)
            else "Give the condition to a step: Step(…, when=…).",
        )
    if isinstance(stated, Mapping):
        return {_name(k, place): template(v, where, f"{at}/{k}") for k, v in stated.items()}
    if isinstance(stated, list | tuple):
        return [template(one, where, f"{at}/{number}") for number, one in enumerate(stated)]
    try:
        return json.loads(to_json(stated, place))
    except ContractViolation as error:
        raise bad(error.message.removesuffix("."), error.cure) from error


def references(compiled: Any) -> Iterator[tuple[str, str]]:
    """What a template refers to: sources and pointers."""
    if isinstance(compiled, dict):
        if templates.FROM in compiled:
            yield compiled[templates.FROM], compiled[templates.AT]
            return
        compiled = list(compiled.values())
    if isinstance(compiled, list):
        for one in compiled:
            yield from references(one)


def bad(what: str, cure: str) -> DeclarationError:
    """The error of a plan."""
    return DeclarationError(f"{what}.", code="bad_plan", cure=cure)


def _name(name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise bad(f"{place} has the key {name!r}", "JSON objects have text as keys.")
    if name == templates.FROM:
        raise bad(
            f"{place} has the key {name!r}, which stands for a reference",
            'Use step.result["field"] or the plan\'s input; as a name it cannot be used.',
        )
    return name


def _encoded(compiled: Any, where: str) -> bytes:
    data = json.dumps(compiled, separators=(",", ":"), ensure_ascii=False).encode()
    if len(data) > TEMPLATE_BYTES:
        raise bad(
            f"{where} takes {len(data)} bytes; the limit is {TEMPLATE_BYTES}",
            "Put large constants into an artifact, or into the handler.",
        )
    return data
