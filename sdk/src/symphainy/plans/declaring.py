"""Declared plans: the function that states one is called here, and what it states is checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, get_args, get_origin

from msgspec import json
from pydantic import BaseModel

from symphainy.errors import DeclarationError
from symphainy.handlers import PayloadT, canonical
from symphainy.options import IntentOptions
from symphainy.plans import contracts
from symphainy.plans.contracts import Shape, Shapes
from symphainy.plans.ordering import ordered, preceding
from symphainy.plans.stating import (
    TEMPLATES_BYTES,
    bad,
    condition_of,
    input_of,
    output_of,
    references,
)
from symphainy.plans.steps import Plan, Step
from symphainy.plans.values import PlanInput
from symphainy.signatures import hints
from symphainy_schemas import templates
from symphainy_schemas.ids import INTENT_TYPE
from symphainy_schemas.records import PlannedStep, Recovery

MOST_STEPS = 100
_SHAPE = "def plan(payload: PlanInput[YourModel]) -> Plan"
_WHOLE = {templates.FROM: templates.PAYLOAD, templates.AT: ""}


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
        sources = {templates.PAYLOAD: [_shape(self.input_contract)]}
        for one in self.steps:
            contract = input_contracts.get(one.intent_type)
            if one.step in self.by_name and contract:
                why = _misfit(one, _shape(contract), sources)
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
    _check_total(planned, output, where)
    _check_contracts(steps, planned, output, [_shape(contract)], where)
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
        planned[name] = PlannedStep(
            step=name,
            intent_type=step.intent_type,
            needs=_needs(step, steps, (given, condition), before.get(name, ()), place),
            input=given,
            condition=condition,
        )
    order = ordered({name: one.needs for name, one in planned.items()}, where)
    return tuple(planned[name] for name in order)


def _needs(
    step: Step[Any],
    steps: Mapping[str, Step[Any]],
    stated: tuple[bytes, bytes],
    before: Iterable[str],
    place: str,
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for need in step.needs:
        if not isinstance(need, Step | str):
            raise bad(f"{place} needs {need!r}", "Name steps: needs=[step], or their names.")
        found[need if isinstance(need, str) else need.name] = None
    for template in stated:
        found.update(dict.fromkeys(sorted(templates.sources(template) - {templates.PAYLOAD})))
    found.update(dict.fromkeys(before))
    for need in found:
        _check_listed(need, steps, f"{place} needs")
    return tuple(found)


def _check_listed(name: str, steps: Mapping[str, Step[Any]], what: str) -> None:
    if name not in steps:
        raise bad(
            f"{what} {name!r}, which is no step of the plan",
            f"Add it to Plan([…]); there are {', '.join(steps)}.",
        )


def _check_total(planned: tuple[PlannedStep, ...], output: bytes, where: str) -> None:
    total = sum(len(one.input) + len(one.condition) for one in planned) + len(output)
    if total > TEMPLATES_BYTES:
        raise bad(
            f"{where}: inputs, conditions and result take {total} bytes together; the limit is "
            f"{TEMPLATES_BYTES}",
            "Put large constants into artifacts, or into the handlers.",
        )


def _check_contracts(
    steps: Mapping[str, Step[Any]],
    planned: tuple[PlannedStep, ...],
    output: bytes,
    payload: Shapes,
    where: str,
) -> None:
    """What is known on both sides fits together."""
    sources = {name: _results(step) for name, step in steps.items()}
    sources[templates.PAYLOAD] = payload
    for one in planned:
        place = f"{where}: step {one.step}"
        for template in (one.input, one.condition):
            _check_references(template, steps, sources, place)
        handler = steps[one.step].handler
        if handler is not None:
            why = _misfit(one, _shape(handler.input_contract), sources)
            if why:
                raise bad(
                    f"{place} does not give {one.intent_type} what it takes: {why}",
                    f"Give it what {handler.payload_model.__name__} has; of the payload, what "
                    "that requires.",
                )
    _check_references(output, steps, sources, f"{where}: the result")


def _check_references(
    template: bytes, steps: Mapping[str, Step[Any]], sources: Mapping[str, Shapes], place: str
) -> None:
    for source, pointer in references(json.decode(template) if template else None):
        if source != templates.PAYLOAD:
            _check_listed(source, steps, f"{place} refers to")
        shapes = sources[source]
        if shapes and not contracts.reached(shapes, pointer):
            raise bad(
                f"{place} refers to {pointer} of {source}, where nothing can stand",
                f"Use a field that {_whose(source, steps)} has.",
            )


def _whose(source: str, steps: Mapping[str, Step[Any]]) -> str:
    if source == templates.PAYLOAD:
        return "the payload's model"
    return f"the result of {steps[source].intent_type}"


def _misfit(one: PlannedStep, wanted: Shape, sources: Mapping[str, Shapes]) -> str:
    template = json.decode(one.input) if one.input else _WHOLE
    return contracts.misfit(template, wanted, sources)


def _results(step: Step[Any]) -> Shapes:
    """What the step's result may be; none if that is unknown.

    Results are written with the fields' names, unless their model says otherwise: so under either.
    """
    returns = () if step.handler is None else step.handler.returns
    models = [one for one in returns if issubclass(one, BaseModel)]
    if len(models) + (type(None) in returns) < len(returns):
        return ()
    return [
        Shape.of(model.model_json_schema(mode="serialization", by_alias=by_alias))
        for model in models
        for by_alias in (False, True)
    ]


def _shape(contract: bytes) -> Shape:
    return Shape.of(json.decode(contract))


def nested(plan: str, step: PlannedStep) -> DeclarationError:
    """The error of a plan that has a plan as a step."""
    return bad(
        f"Plan {plan}: step {step.step} is {step.intent_type}, which is a plan",
        "A plan cannot be a step: let a handler state its intent, or list its steps.",
    )
