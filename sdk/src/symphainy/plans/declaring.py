"""Declared plans: the function that states one is called here, and what it states is checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, get_args, get_origin

from pydantic import BaseModel

from symphainy.errors import DeclarationError
from symphainy.handlers import PayloadT, canonical
from symphainy.options import IntentOptions
from symphainy.plans.fanning import bound_of, check_elements, list_of
from symphainy.plans.fitting import check_contracts, check_listed, misfit, shape_of
from symphainy.plans.ordering import ordered, preceding
from symphainy.plans.stating import (
    TEMPLATES_BYTES,
    bad,
    condition_of,
    input_of,
    output_of,
)
from symphainy.plans.steps import Plan, Step
from symphainy.plans.values import PlanInput
from symphainy.signatures import hints
from symphainy_schemas import templates
from symphainy_schemas.ids import INTENT_TYPE
from symphainy_schemas.records import PlannedStep, Recovery

MOST_STEPS = 100
_NO_STEPS = frozenset({templates.PAYLOAD, templates.ELEMENT})
_SHAPE = "def plan(payload: PlanInput[YourModel]) -> Plan"


@dataclass(frozen=True, slots=True)
class DeclaredPlan(Generic[PayloadT]):
    """A declared plan: an intent that has steps instead of a handler."""

    intent_type: str
    realm: str
    name: str
    description: str
    payload_model: type[PayloadT]
    input_contract: bytes
    steps: tuple[PlannedStep, ...]
    """What it needs comes before each."""
    output: bytes
    recovery: Recovery
    options: IntentOptions
    by_name: frozenset[str]
    """The steps that name an intent type, of which no contract is at hand."""

    def problems(self, input_contracts: Mapping[str, bytes]) -> list[str]:
        """What is wrong with the steps that only name an intent type, as far as its input contract
        is given."""
        found = []
        sources = {templates.PAYLOAD: [shape_of(self.input_contract)]}
        for one in self.steps:
            contract = input_contracts.get(one.intent_type)
            if one.step in self.by_name and contract:
                why = misfit(one, shape_of(contract), sources)
                if why:
                    found.append(f"Step {one.step} ({one.intent_type}): {why}")
        return found


def declare_plan(
    intent_type: str,
    realm: str,
    function: Callable[[PlanInput[PayloadT]], Plan],
    recovery: Recovery | str,
    options: IntentOptions,
) -> DeclaredPlan[PayloadT]:
    """Call the function that states a plan, and check what it states.

    Raises:
        DeclarationError: the signature is wrong, or what it states cannot be carried out.
    """
    where = f"Plan {intent_type}"
    model: type[PayloadT] = _payload_model(function, where)
    stated = function(PlanInput())
    if not isinstance(stated, Plan):
        raise bad(f"{where}: {function.__name__} returned a {type(stated).__name__}", _RETURN)
    contract = canonical(model.model_json_schema())
    steps = _by_name(stated, intent_type, where)
    planned = _planned(steps, where, in_order=stated.in_order)
    output = output_of(stated, f"{where}: the result")
    check_elements(f"{where}: the result", output)
    _check_total(planned, output, where)
    check_contracts(steps, planned, output, [shape_of(contract)], where)
    return DeclaredPlan(
        intent_type=intent_type,
        realm=realm,
        name=function.__name__,
        description=options.description or (inspect.getdoc(function) or "").partition("\n")[0],
        payload_model=model,
        input_contract=contract,
        steps=planned,
        output=output,
        recovery=_recovery(recovery, where),
        options=options,
        by_name=frozenset(name for name, step in steps.items() if step.handler is None),
    )


_RETURN = "Return Plan([…], result=…)."


def _payload_model(function: Callable[..., Any], where: str) -> type[Any]:
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise bad(f"{where}: {function!r} is no plain function", f"Write `{_SHAPE}`.")
    parameters = list(inspect.signature(function).parameters)
    found = hints(function, f"{function.__module__}.{function.__qualname__}", "Plan")
    hint = found.get(parameters[0]) if len(parameters) == 1 else None
    model = (*get_args(hint), None)[0] if get_origin(hint) is PlanInput else None
    if not inspect.isclass(model) or not issubclass(model, BaseModel) or model is BaseModel:
        raise bad(
            f"{where}: {function.__name__} does not take one PlanInput of a pydantic model",
            f"Write `{_SHAPE}`, with `class YourModel(BaseModel)`.",
        )
    return model


def _recovery(stated: Recovery | str, where: str) -> Recovery:
    known = [one.value for one in Recovery if one is not Recovery.UNKNOWN]
    if stated not in known:
        raise bad(f"{where}: recovery={stated!r} is none", f"Use one of {', '.join(known)}.")
    return Recovery(stated)


def _by_name(plan: Plan, intent_type: str, where: str) -> dict[str, Step[Any]]:
    if not plan.steps:
        raise bad(f"{where} has no steps", "Return Plan([Step(…), …]).")
    if len(plan.steps) > MOST_STEPS:
        raise bad(
            f"{where} has {len(plan.steps)} steps; the limit is {MOST_STEPS}",
            "Let a handler do several of them, with a ctx.step for each.",
        )
    found: dict[str, Step[Any]] = {}
    for step in plan.steps:
        if not isinstance(step, Step):
            raise bad(f"{where} lists a {type(step).__name__}", "List what Step(…) makes.")
        _check_step(step, intent_type, where)
        if step.name in found:
            raise bad(f"{where} has two steps {step.name!r}", "Give each a name of its own.")
        found[step.name] = step
    return found


def _check_step(step: Step[Any], intent_type: str, where: str) -> None:
    name = step.name
    if not isinstance(name, str) or not templates.STEP_NAME.fullmatch(name):
        raise bad(
            f"{where}: {name!r:.80} is no step's name",
            "Use a-z, 0-9 and _, beginning with a letter, at most 63.",
        )
    if name == templates.PAYLOAD:
        raise bad(f"{where}: a step is called {name!r}", "That names the payload: rename the step.")
    prefix = step.intent_type.partition(".")[0]
    if not INTENT_TYPE.fullmatch(step.intent_type) or prefix == "runtime":
        raise bad(
            f"{where}: step {name} is {step.intent_type!r:.80}, which no realm answers",
            "Name an intent type: {realm}.{action}.",
        )
    if step.intent_type == intent_type or prefix == "cross_realm":
        raise bad(
            f"{where}: step {name} is {step.intent_type}, which is a plan",
            "A plan cannot be a step: let a handler state its intent, or list its steps.",
        )


def _planned(
    steps: Mapping[str, Step[Any]], where: str, *, in_order: bool
) -> tuple[PlannedStep, ...]:
    planned: dict[str, PlannedStep] = {}
    conditional = {name: step.when is not None for name, step in steps.items()}
    before = preceding(conditional, where) if in_order else {}
    for name, step in steps.items():
        place = f"{where}: step {name}"
        given, condition = input_of(step, place), condition_of(step, place)
        elements = list_of(step, given, condition, place)
        planned[name] = PlannedStep(
            step=name,
            intent_type=step.intent_type,
            needs=_needs(step, steps, (given, condition, elements), before.get(name, ()), place),
            input=given,
            condition=condition,
            for_each=elements,
            at_most=bound_of(step, place),
        )
    order = ordered({name: one.needs for name, one in planned.items()}, where)
    return tuple(planned[name] for name in order)


def _needs(
    step: Step[Any],
    steps: Mapping[str, Step[Any]],
    stated: tuple[bytes, ...],
    before: Iterable[str],
    place: str,
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for need in step.needs:
        if not isinstance(need, Step | str):
            raise bad(f"{place} needs {need!r}", "Name steps: needs=[step], or their names.")
        found[need if isinstance(need, str) else need.name] = None
    for template in stated:
        found.update(dict.fromkeys(sorted(templates.sources(template) - _NO_STEPS)))
    found.update(dict.fromkeys(before))
    for need in found:
        check_listed(need, steps, f"{place} needs")
    return tuple(found)


def _check_total(planned: tuple[PlannedStep, ...], output: bytes, where: str) -> None:
    stated = (t for one in planned for t in (one.input, one.condition, one.for_each))
    total = sum(map(len, stated)) + len(output)
    if total > TEMPLATES_BYTES:
        raise bad(
            f"{where}: inputs, conditions and result take {total} bytes together; the limit is "
            f"{TEMPLATES_BYTES}",
            "Put large constants into artifacts, or into the handlers.",
        )


def nested(plan: str, step: PlannedStep) -> DeclarationError:
    """The error of a plan that has a plan as a step."""
    return bad(
        f"Plan {plan}: step {step.step} is {step.intent_type}, which is a plan",
        "A plan cannot be a step: let a handler state its intent, or list its steps.",
    )
