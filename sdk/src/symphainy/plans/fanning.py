"""Steps that are run for each element of a list: from what an author states to templates."""

from __future__ import annotations

from typing import Any

from msgspec import json

from symphainy.plans.stating import bad, template
from symphainy.plans.steps import Step
from symphainy.plans.values import Value
from symphainy_schemas import templates


def list_of(step: Step[Any], given: bytes, condition: bytes, where: str) -> bytes:
    """The list whose elements the step is run for; empty for a step that is run once.

    Raises:
        DeclarationError: it is no place of a list; or an element is referred to where none is.
    """
    stated = step.for_each
    if stated is not None and not isinstance(stated, Value):
        raise bad(
            f"{where} is run for each of a {type(stated).__name__}",
            'Name a list of the payload or of a result: for_each=trip["guests"], '
            'for_each=step.result["rooms"], or step.result of a step with for_each.',
        )
    found = b"" if stated is None else json.encode(template(stated, where))
    check_elements(f"{where}: the condition", condition)
    check_elements(f"{where}: for_each", found)
    if stated is None:
        check_elements(where, given)
    return found


def bound_of(step: Step[Any], where: str) -> int:
    """How many elements the step is run for at once; 0 for any number.

    Raises:
        DeclarationError: it is no number, or bounds nothing.
    """
    bound = step.at_most
    if bound is None:
        return 0
    if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
        raise bad(f"{where}: at_most={bound!r} is no number from 1", "Write at_most=10.")
    if step.for_each is None:
        raise bad(
            f"{where} has at_most={bound} and is run once",
            "Say of which list: for_each=….",
        )
    return bound


def check_elements(where: str, stated: bytes) -> None:
    """Refuse a reference to an element where there is none.

    Raises:
        DeclarationError: there is such a reference.
    """
    if templates.ELEMENT in templates.sources(stated):
        raise bad(
            f"{where} refers to EACH, and there is no element",
            "EACH stands in the input of a step with for_each=…, and nowhere else.",
        )


def of_first(stated: bytes, for_each: bytes) -> bytes:
    """A template as it is for the first element of the list, which stands for all of them."""
    if not for_each or templates.ELEMENT not in templates.sources(stated):
        return stated
    return json.encode(_of_first(json.decode(stated), json.decode(for_each)))


def _of_first(stated: Any, each: dict[str, str]) -> Any:
    if isinstance(stated, list):
        return [_of_first(one, each) for one in stated]
    if not isinstance(stated, dict):
        return stated
    if stated.get(templates.FROM) == templates.ELEMENT:
        at = f"{each[templates.AT]}/0{stated[templates.AT]}"
        return templates.reference(each[templates.FROM], at)
    return {name: _of_first(value, each) for name, value in stated.items()}
