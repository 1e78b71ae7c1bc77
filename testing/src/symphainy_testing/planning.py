"""What a test plans to go wrong: `Harness.fail`, `crash` and `hang`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from symphainy.compensation import Compensation
from symphainy.handlers import Handler
from symphainy.plans.declaring import DeclaredPlan
from symphainy.realm import Realm
from symphainy_schemas.ids import compensation_of
from symphainy_testing.faults import Fault, Faults, Kind, Moment

Struck = str | Handler[Any, Any] | Compensation[Any, Any]
"""Whom a fault strikes: a handler, or its intent type; a compensation, or `compensate:` and the
intent type that it undoes."""


class Planning:
    """Plans faults for the handlers and the compensations of some realms."""

    def __init__(self, answered: Collection[str]) -> None:
        """`answered` are the intent types that have handlers, and the compensations, under the
        names that faults have."""
        self._answered = answered
        self._faults = Faults()

    def fail(
        self,
        intent: Struck,
        error: BaseException,
        *,
        step: str = "",
        call: int = 1,
        times: int = 1,
    ) -> None:
        """Let a handler or a compensation, or one of its steps, raise `error` instead of running.

        It strikes the calls `call`, …, `call + times - 1`: of the handler, each delivery is one; of
        a step, each time that it runs. A fault that strikes nothing fails the test in the end.

        Raises:
            ValueError: it would strike no call.
        """
        self._planned(Fault(Kind.FAIL, struck_name(intent), step, call, times, error))

    def crash(
        self,
        intent: Struck,
        *,
        step: str = "",
        call: int = 1,
        when: Moment | str = Moment.BEFORE,
    ) -> None:
        """Let the worker die in this call: all its handlers end without a word, and the next worker
        finds what it had.

        `when` says where: "before" it runs; when it "ran" and nobody has heard of it, so that it
        runs again; or, of a step, when it is "recorded". A handler that "ran" has returned: `call`
        counts no others. A sync handler's thread cannot be ended: its next call of `ctx` raises, or
        never returns.

        Raises:
            ValueError: it would strike no call, or there is no such moment.
        """
        moment = Moment(when)
        if moment is Moment.RECORDED and not step:
            raise ValueError(f"when={str(moment)!r} needs the step at which the worker dies.")
        self._planned(Fault(Kind.CRASH, struck_name(intent), step, call, 1, None, moment))

    def hang(
        self,
        intent: Struck,
        *,
        step: str = "",
        call: int = 1,
        times: int = 1,
        when: Moment | str = Moment.BEFORE,
    ) -> None:
        """Let a handler, or one of its steps, never return: its timeout or heartbeat ends it, and
        the harness skips to that. When it "ran", its effect is in the world; see `crash`.

        Raises:
            ValueError: it would strike no call, or there is no such moment.
        """
        moment = Moment(when)
        if moment is Moment.RECORDED:
            raise ValueError("What is recorded does not hang: use when='ran'.")
        self._planned(Fault(Kind.HANG, struck_name(intent), step, call, times, None, moment))

    def _planned(self, fault: Fault) -> None:
        if fault.intent_type not in self._answered:
            raise ValueError(
                f"No realm answers {fault.intent_type!r}; there are {', '.join(self._answered)}."
            )
        self._faults.plan(fault)


def struck_name(intent: Struck) -> str:
    """Under which name faults of a handler or of a compensation are planned."""
    if isinstance(intent, Compensation):
        return compensation_of(intent.intent_type)
    return type_of(intent)


def type_of(intent: str | Handler[Any, Any] | DeclaredPlan[Any]) -> str:
    """The intent type of a handler or a plan, or as it is."""
    return intent if isinstance(intent, str) else intent.intent_type


def strikable(realms: Iterable[Realm]) -> list[str]:
    """Whom a fault may strike, by the names that faults know."""
    handlers = [handler for realm in realms for handler in realm]
    undone = [compensation_of(h.intent_type) for h in handlers if h.compensation is not None]
    return [*(handler.intent_type for handler in handlers), *undone]
