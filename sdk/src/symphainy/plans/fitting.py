"""Whether a plan's steps are given what their handlers take, as far as both sides are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import json
from pydantic import BaseModel

from symphainy.plans import contracts
from symphainy.plans.contracts import Shape, Shapes
from symphainy.plans.fanning import of_first
from symphainy.plans.stating import bad, references
from symphainy.plans.steps import Step
from symphainy_schemas import templates
from symphainy_schemas.records import PlannedStep

_WHOLE = {templates.FROM: templates.PAYLOAD, templates.AT: ""}
_LIST = Shape.of({"type": "array"})


def check_listed(name: str, steps: Mapping[str, Step[Any]], what: str) -> None:
    """Raise DeclarationError unless a step is one of the plan's."""
    if name not in steps:
        raise bad(
            f"{what} {name!r}, which is no step of the plan",
            f"Add it to Plan([…]); there are {', '.join(steps)}.",
        )


def check_contracts(
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
        if one.for_each:
            _check_references(one.for_each, steps, sources, place)
            _check_list(one, sources, place)
        for template in (one.input, one.condition):
            _check_references(of_first(template, one.for_each), steps, sources, place)
        handler = steps[one.step].handler
        if handler is not None:
            why = misfit(one, shape_of(handler.input_contract), sources)
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
            check_listed(source, steps, f"{place} refers to")
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


def _check_list(one: PlannedStep, sources: Mapping[str, Shapes], place: str) -> None:
    why = contracts.misfit(json.decode(one.for_each), _LIST, sources, "for_each")
    if why:
        raise bad(f"{place}: {why}", "Name a list of the payload or of a step's result.")


def misfit(one: PlannedStep, wanted: Shape, sources: Mapping[str, Shapes]) -> str:
    """Why a step does not get what is wanted; empty if it may."""
    given = of_first(one.input, one.for_each)
    return contracts.misfit(json.decode(given) if given else _WHOLE, wanted, sources)


def _results(step: Step[Any]) -> Shapes:
    """What the step's result may be; none if that is unknown.

    Results are written with the fields' names, unless their model says otherwise: so under either.
    """
    returns = () if step.handler is None else step.handler.returns
    models = [one for one in returns if issubclass(one, BaseModel)]
    if len(models) + (type(None) in returns) < len(returns):
        models = []
    found = [
        Shape.of(model.model_json_schema(mode="serialization", by_alias=by_alias))
        for model in models
        for by_alias in (False, True)
    ]
    if step.for_each is None:
        return found
    return [Shape({**_LIST.node, "items": one.node}, one.root) for one in found] or [_LIST]


def shape_of(contract: bytes) -> Shape:
    """The whole of a contract."""
    return Shape.of(json.decode(contract))
