"""What a plan's steps get of the payload and of each other, before any of it is there.

A plan is stated once, when its module is imported, for all executions to come. So what it passes on
is a name for a place: in the payload, or in a step's result. Such a name can be handed on and asked
about in a condition; whoever takes it for the value itself is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, NoReturn, TypeVar

from pydantic import BaseModel

from symphainy.errors import DeclarationError
from symphainy_schemas import templates

T_co = TypeVar("T_co", covariant=True)


class Value(Generic[T_co]):
    """A place in the payload or in a step's result; `value["name"]` and `value[0]` lie in it.

    Where nothing stands there when the step begins, it gets null.
    """

    __slots__ = ("pointer", "source")

    def __init__(self, source: str, pointer: str = "") -> None:
        """`source` is `payload` or a step's name, `pointer` a JSON pointer (RFC 6901)."""
        self.source = source
        self.pointer = pointer

    def __repr__(self) -> str:
        return f"<{self.source}{self.pointer}>"

    def __getitem__(self, part: str | int, /) -> Value[Any]:
        """What stands under a name, or at a place of a list, from 0.

        Raises:
            DeclarationError: it is neither.
        """
        number = isinstance(part, int) and not isinstance(part, bool) and part >= 0
        if not number and not isinstance(part, str):
            raise DeclarationError(
                f"{self!r}[{part!r}] is no place in JSON.",
                code="bad_reference",
                cure="Use a field's name, or a place in a list, from 0.",
            )
        escaped = str(part).replace("~", "~0").replace("/", "~1")
        return Value(self.source, f"{self.pointer}/{escaped}")

    def is_(self, value: object) -> Condition:
        """Holds where it is just this JSON value."""
        return Condition(self, (value,))

    def is_in(self, values: Iterable[object]) -> Condition:
        """Holds where it is one of these JSON values.

        Raises:
            DeclarationError: they are one text.
        """
        if isinstance(values, str):
            raise DeclarationError(
                f"{self!r}.is_in({values!r}) would look for its letters.",
                code="bad_plan",
                cure=f"Write .is_in([{values!r}]).",
            )
        return Condition(self, tuple(values))

    def is_not(self, value: object) -> Condition:
        """Holds where it is anything else; also where nothing stands there, if `value` is not
        None."""
        return Condition(self, (value,), negated=True)

    # Python would answer all of these with nonsense: `value == "held"` is False, for ever.

    def __eq__(self, other: object) -> bool:
        raise self._too_early("compared")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise self._too_early("tested")

    def __iter__(self) -> Iterator[Any]:
        raise self._too_early("walked through")

    def __str__(self) -> str:
        raise self._too_early("written as text")

    def __format__(self, spec: str) -> str:
        raise self._too_early("written as text")

    def _too_early(self, done: str) -> DeclarationError:
        return DeclarationError(
            f"{self!r} is {done} while the plan is declared; its value is there only when the plan "
            "is carried out.",
            code="value_not_there",
            cure="Hand it on to a step as it is, state when=… with .is_(…), .is_in(…) or "
            ".is_not(…), run a step for each of its elements with for_each=…, or compute with it "
            "in a handler.",
        )


EACH: Final[Value[Any]] = Value(templates.ELEMENT)
"""The element that a step with `for_each` is run for: in its input alone."""


class Condition:
    """Whether a step is carried out, or skipped. Made by `Value.is_`, `is_in` and `is_not`."""

    __slots__ = ("among", "negated", "value")

    def __init__(
        self, value: Value[Any], among: tuple[object, ...], *, negated: bool = False
    ) -> None:
        self.value = value
        self.among = among
        self.negated = negated

    def __repr__(self) -> str:
        return f"<{self.value!r} {'not in' if self.negated else 'in'} {list(self.among)!r}>"

    def __bool__(self) -> NoReturn:
        raise DeclarationError(
            f"The condition {self!r} is tested while the plan is declared.",
            code="value_not_there",
            cure="Give it to a step: Step(…, when=…). A step has one condition; what several "
            "values decide is a step of its own.",
        )


P_co = TypeVar("P_co", bound=BaseModel, covariant=True)


class PlanInput(Value[P_co]):
    """The payload of the plan's intent: what a plan's function is given."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(templates.PAYLOAD)
