"""Realms: which intents a team's code answers, and with what. Declaring touches no network."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

from symphainy.errors import DeclarationError
from symphainy.handlers import Function, Handler, declare
from symphainy.options import IntentOptions, Retry, Serves
from symphainy.outcome import Outcome
from symphainy.participant import RuntimeParticipant, as_function
from symphainy.plans.declaring import DeclaredPlan, declare_plan, nested
from symphainy.plans.steps import Plan
from symphainy.plans.values import PlanInput
from symphainy_schemas.ids import INTENT_TYPE
from symphainy_schemas.records import Determinism, Recovery

Returned = Outcome | BaseModel | Mapping[str, Any] | None
PayloadT = TypeVar("PayloadT", bound=BaseModel)
ReturnT = TypeVar("ReturnT", bound=Returned | Awaitable[Returned])

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Intents of the runtime itself, and plans over several realms, which any realm may declare: neither
# has handlers.
_RESERVED = frozenset({"runtime", "cross_realm"})
_CROSS_REALM = "cross_realm"


class Declares(Protocol):
    """What `Realm.intent` returns: the decorator, which keeps the function's types."""

    def __call__(self, function: Function[PayloadT, ReturnT], /) -> Handler[PayloadT, ReturnT]:
        """Declare the function."""
        ...


class DeclaresPlan(Protocol):
    """What `Realm.plan` returns: the decorator, which keeps the payload's type."""

    def __call__(
        self, function: Callable[[PlanInput[PayloadT]], Plan], /
    ) -> DeclaredPlan[PayloadT]:
        """Declare what the function states."""
        ...


class Realm:
    """A named set of handlers and plans; the handlers are run by the workers of one consumer
    group."""

    def __init__(self, name: str) -> None:
        """`name` is what stands before the dot of its intent types.

        Raises:
            DeclarationError: it is no realm's name.
        """
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise DeclarationError(
                f"{name!r} cannot be a realm's name.",
                code="bad_realm",
                cure="Use a-z, 0-9 and _, beginning with a letter, at most 63; "
                f"{' and '.join(sorted(_RESERVED))} are reserved.",
            )
        self.name = name
        self._handlers: dict[str, Handler[Any, Any]] = {}
        self._plans: dict[str, DeclaredPlan[Any]] = {}

    def __repr__(self) -> str:
        plans = f", {len(self._plans)} plans" if self._plans else ""
        return f"Realm({self.name!r}, {len(self._handlers)} handlers{plans})"

    def __iter__(self) -> Iterator[Handler[Any, Any]]:
        """The declared handlers, in order of declaration."""
        return iter(self._handlers.values())

    def __len__(self) -> int:
        """How many handlers are declared."""
        return len(self._handlers)

    @property
    def plans(self) -> tuple[DeclaredPlan[Any], ...]:
        """The declared plans, in order of declaration."""
        return tuple(self._plans.values())

    def intent(
        self,
        intent_type: str,
        *,
        retry: Retry = Retry(),  # noqa: B008  # frozen, so sharing one is safe
        timeout: timedelta | str | None = "5m",
        heartbeat: timedelta | str | None = None,
        deadline: timedelta | str | None = None,
        determinism: Determinism = Determinism.UNKNOWN,
        description: str = "",
        serves: Serves = "older",
    ) -> Declares:
        """Declare the decorated function as the handler of `{realm}.{action}`.

        Args:
            intent_type: `{realm}.{action}` with this realm.
            retry: how failed attempts are repeated.
            timeout: start-to-finish limit of one attempt; None for no limit.
            heartbeat: the longest that an attempt may run without a sign of life (`ctx.step`,
                `ctx.progress`); None for no limit.
            deadline: the longest that the whole execution may take, from its acceptance, with all
                its attempts and waits; None for no limit.
            determinism: whether the same input gives the same result.
            description: for people; the first line of the docstring if empty.
            serves: which versions' executions this code goes on with, beside its own: `older` ones
                too, from a version number on, or none but its `own`. What it does not serve it
                hands back, and the execution waits for a worker that does.

        Raises:
            DeclarationError: here or when the function is declared; it says what to change.
        """
        options = IntentOptions(
            retry=retry,
            timeout=timeout,
            heartbeat=heartbeat,
            deadline=deadline,
            determinism=determinism,
            description=description,
            serves=serves,
        )

        def declares(function: Function[PayloadT, ReturnT], /) -> Handler[PayloadT, ReturnT]:
            handler = declare(intent_type, function, options)
            self._register(handler)
            return handler

        return declares

    def plan(
        self,
        intent_type: str,
        *,
        recovery: Recovery
        | Literal["compensate", "retry_forward", "hold_for_operator"] = Recovery.COMPENSATE,
        deadline: timedelta | str | None = None,
        description: str = "",
    ) -> DeclaresPlan:
        """Declare what the decorated function states as the plan of an intent.

        The function is called here, once, with a `PlanInput` that stands for every payload to come.

        Args:
            intent_type: `{realm}.{action}` with this realm, or `cross_realm.{action}`.
            recovery: what follows when a step has failed for good. `compensate`: nothing more
                begins, and what was done is undone in reverse. `retry_forward`: what may be tried
                again is, for as long as it takes. `hold_for_operator`: an operator retries it, has
                all undone, or cancels.
            deadline: the longest that the whole execution may take, from its acceptance; None for
                no limit.
            description: for people; the first line of the docstring if empty.

        Raises:
            DeclarationError: here or when the function is declared; it says what to change.
        """
        options = IntentOptions(
            retry=Retry(attempts=1), timeout=None, deadline=deadline, description=description
        )

        def declares(function: Callable[[PlanInput[PayloadT]], Plan], /) -> DeclaredPlan[PayloadT]:
            self._check_plan(intent_type, function)
            plan = declare_plan(intent_type, self.name, function, recovery, options)
            for one in (*self._plans.values(), plan):
                for step in one.steps:
                    if step.intent_type in (*self._plans, intent_type):
                        raise nested(one.intent_type, step)
            self._plans[intent_type] = plan
            return plan

        return declares

    def add(self, participant: RuntimeParticipant) -> None:
        """Declare all intents that a participant supports, with the default options.

        Raises:
            DeclarationError: one of them is not this realm's, or is declared already.
        """
        supported = participant.get_supported_intents()
        if not supported:
            raise DeclarationError(
                f"{type(participant).__qualname__} supports no intents.",
                code="bad_participant",
                cure=f'Return ["{self.name}.…"] from get_supported_intents().',
            )
        name = f"{type(participant).__qualname__}.handle_intent"
        function = as_function(participant)
        for intent_type in supported:
            self._register(declare(intent_type, function, IntentOptions(), name=name))

    def _register(self, handler: Handler[Any, Any]) -> None:
        intent_type, name = handler.intent_type, handler.name
        realm = intent_type.partition(".")[0]
        if not INTENT_TYPE.fullmatch(intent_type) or realm != self.name:
            raise DeclarationError(
                f"Handler {name}: {intent_type!r} is not an intent type of realm {self.name}.",
                code="bad_intent_type",
                cure=f"Name it {self.name}.<action>, with a-z, 0-9 and _.",
            )
        self._check_new(f"Handler {name}", intent_type)
        self._handlers[intent_type] = handler

    def _check_plan(self, intent_type: str, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", repr(function))
        prefix = intent_type.partition(".")[0]
        if not INTENT_TYPE.fullmatch(intent_type) or prefix not in (self.name, _CROSS_REALM):
            raise DeclarationError(
                f"Plan {name}: {intent_type!r} is not an intent type of realm {self.name}.",
                code="bad_intent_type",
                cure=f"Name it {self.name}.<action> or {_CROSS_REALM}.<action>, with a-z, 0-9 "
                "and _.",
            )
        self._check_new(f"Plan {name}", intent_type)

    def _check_new(self, what: str, intent_type: str) -> None:
        earlier = self._handlers.get(intent_type) or self._plans.get(intent_type)
        if earlier is not None:
            raise DeclarationError(
                f"{what}: {intent_type} is answered by {earlier.name} already.",
                code="declared_twice",
                cure="Remove one of them, or give it another intent type.",
            )
