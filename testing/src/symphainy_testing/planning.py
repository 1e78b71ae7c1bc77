"""What a test plans to go wrong: `Harness.fail`, `crash` and `hang`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from symphainy.handlers import Handler
from symphainy_testing.faults import Fault, Faults, Kind, Moment


class Planning:
    """Plans faults for the handlers of some realms."""

    def __init__(self, intent_types: Collection[str]) -> None:
        """`intent_types` are those that are answered."""
        self._answered = intent_types
        self._faults = Faults()

    def fail(
        self,
        intent: str | Handler[Any, Any],
        error: BaseException,
        *,
        step: str = "",
        call: int = 1,
        times: int = 1,
    ) -> None:
        """Let a handler, or one of its steps, raise `error` instead of running.

        It strikes the calls `call`, …, `call + times - 1`: of the handler, each delivery is one; of
        a step, each time that it runs. A fault that strikes nothing fails the test in the end.

        Raises:
            ValueError: it would strike no call.
        """
        self._planned(Fault(Kind.FAIL, type_of(intent), step, call, times, error))

    def crash(
        self,
        intent: str | Handler[Any, Any],
        *,
        step: str = "",
        call: int = 1,
        when: Moment | str = Moment.BEFORE,
    ) -> None:
        """Let the worker die in this call: all its handlers end without a word, and the next worker
        finds what it had.

        Of a step, `when` says where: "before" it runs; when it "ran" but nothing is recorded, so
        that it runs again; or when it is "recorded". A sync handler's thread cannot be ended: its
        next call of `ctx` raises, or never returns.

        Raises:
            ValueError: it would strike no call, or there is no such moment.
        """
        moment = Moment(when)
        if moment is not Moment.BEFORE and not step:
            raise ValueError(f"when={str(moment)!r} needs the step at which the worker dies.")
        self._planned(Fault(Kind.CRASH, type_of(intent), step, call, 1, None, moment))

    def hang(
        self, intent: str | Handler[Any, Any], *, step: str = "", call: int = 1, times: int = 1
    ) -> None:
        """Let a handler, or one of its steps, never return: its timeout or heartbeat ends it, and
        the harness skips to that.

        Raises:
            ValueError: it would strike no call.
        """
        self._planned(Fault(Kind.HANG, type_of(intent), step, call, times))

    def _planned(self, fault: Fault) -> None:
        if fault.intent_type not in self._answered:
            raise ValueError(
                f"No realm answers {fault.intent_type!r}; there are {', '.join(self._answered)}."
            )
        self._faults.plan(fault)


def type_of(intent: str | Handler[Any, Any]) -> str:
    """The intent type of a handler, or as it is."""
    return intent if isinstance(intent, str) else intent.intent_type
