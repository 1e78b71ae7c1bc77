"""A plan as its author states it: steps, what they get, and what comes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from symphainy.errors import DeclarationError
from symphainy.handlers import Handler, PayloadT
from symphainy.outcome import Outcome
from symphainy.plans.values import Condition, Value

# What a handler may return, awaited or not: a coroutine is none of it, so one overload fits.
DoneT = TypeVar("DoneT", bound=Outcome | BaseModel | Mapping[str, Any] | None)
DoneT_co = TypeVar("DoneT_co", covariant=True)


class Step(Generic[DoneT_co]):
    """One step of a plan: an intent of some realm, carried out when what it needs has ended.

    It needs what its input and its condition refer to, and what `needs` names. Where its condition
    does not hold it is skipped, and so is a step of which all needs were skipped.

    With `for_each` it is run once for each element of a list, side by side; its result is the list
    of theirs, in the order of the elements.
    """

    __slots__ = (
        "at_most",
        "for_each",
        "handler",
        "input",
        "intent_type",
        "name",
        "needs",
        "when",
    )

    @overload
    def __init__(
        self: Step[Any],
        name: str,
        intent: Handler[PayloadT, Outcome | Awaitable[Outcome]],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[DoneT],
        name: str,
        intent: Handler[PayloadT, Awaitable[DoneT]],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[DoneT],
        name: str,
        intent: Handler[PayloadT, DoneT],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[Any],
        name: str,
        intent: str,
        input: object = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[list[Any]],
        name: str,
        intent: Handler[PayloadT, Outcome | Awaitable[Outcome]],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
        for_each: Value[Sequence[object]],
        at_most: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[list[DoneT]],
        name: str,
        intent: Handler[PayloadT, Awaitable[DoneT]],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
        for_each: Value[Sequence[object]],
        at_most: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[list[DoneT]],
        name: str,
        intent: Handler[PayloadT, DoneT],
        input: PayloadT | Value[PayloadT] | Mapping[str, object] | None = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
        for_each: Value[Sequence[object]],
        at_most: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Step[list[Any]],
        name: str,
        intent: str,
        input: object = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
        for_each: Value[Sequence[object]],
        at_most: int | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        intent: str | Handler[Any, Any],
        input: Any = None,
        *,
        needs: Iterable[Step[Any] | str] = (),
        when: Condition | None = None,
        for_each: Value[Sequence[object]] | None = None,
        at_most: int | None = None,
    ) -> None:
        """State a step; what is wrong with it is said when its plan is declared.

        Args:
            name: its name in the plan: a-z, 0-9 and _, at most 63.
            intent: the handler that carries it out, or its intent type where its code is not at
                hand: nothing can be checked then before a worker starts.
            input: what that gets: an object which may hold values of the payload and of other
                steps, or one such value; the whole payload if it is left out, and the element with
                `for_each`.
            needs: steps, or their names, that have to end before, beside those that it refers to.
            when: the condition under which it is carried out; asked once, also with `for_each`.
            for_each: a list in the payload or in a result. The step is run for each of its
                elements, which its input calls `EACH`.
            at_most: of these, so many at once; left out, as many as the realm takes.

        Raises:
            DeclarationError: the intent is neither.
        """
        if not isinstance(intent, str | Handler):
            raise DeclarationError(
                f"Step {name!r} is made of a {type(intent).__name__}.",
                code="bad_plan",
                cure="Use a handler, or an intent type. A plan cannot be a step of another: let a "
                "handler state its intent, or list its steps.",
            )
        self.name = name
        self.handler = None if isinstance(intent, str) else intent
        self.intent_type = intent if isinstance(intent, str) else intent.intent_type
        self.input = input
        self.needs = (needs,) if isinstance(needs, str) else tuple(needs)
        self.when = when
        self.for_each = for_each
        self.at_most = at_most

    def __repr__(self) -> str:
        return f"Step({self.name!r}, {self.intent_type!r})"

    @property
    def result(self) -> Value[DoneT_co]:
        """What it returns, with `for_each` as a list; null if it is skipped."""
        return Value(self.name)


class Plan:
    """The steps of an intent, and its result."""

    __slots__ = ("in_order", "result", "steps")

    def __init__(
        self, steps: Iterable[Step[Any]], *, result: object = None, in_order: bool = False
    ) -> None:
        """State a plan.

        Args:
            steps: in any order, unless that is to count.
            result: JSON which may hold values of the payload and of steps. Left out, it is the
                result of the step that none other needs; of several such, an object of theirs.
            in_order: each step begins when the one listed before it has ended, beside what it
                needs anyway. Where that one was skipped, it goes on all the same.
        """
        self.steps = tuple(steps)
        self.result = result
        self.in_order = in_order
