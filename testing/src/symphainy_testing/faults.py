"""What is to go wrong, and when: planned by a test, met by the handlers.

A fault counts the calls that it could strike: of a handler, every call; of a step, every time that
it runs (a recorded step does not). One that strikes nothing by the end of the test is an error,
since such a test would prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happens."""

    FAIL = "fails"
    CRASH = "crashes"
    HANG = "hangs"


class Moment(StrEnum):
    """When a worker dies at a step or in a handler, or that hangs; RECORDED is of steps only."""

    BEFORE = "before"
    """Before the function is called."""
    RAN = "ran"
    """The function has run, its effect is in the world; nothing is recorded, nobody hears of it."""
    RECORDED = "recorded"
    """The result is recorded; the handler has not gone on."""


@dataclass(slots=True)
class Fault:
    """Strikes the calls `first`, …, `first + times - 1` of a handler or of one of its steps."""

    kind: Kind
    intent_type: str
    step: str
    first: int
    times: int
    error: BaseException | None = None
    moment: Moment = Moment.BEFORE
    met: int = 0
    struck: int = 0

    def __str__(self) -> str:
        where = f"step {self.step!r} of {self.intent_type}" if self.step else self.intent_type
        return f"{where} {self.kind} in call {self.first}"

    def strikes(self) -> bool:
        """Count one call; whether the fault strikes it."""
        self.met += 1
        strikes = self.first <= self.met < self.first + self.times
        self.struck += strikes
        return strikes


class Faults:
    """All faults of one test."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """From now on.

        Raises:
            ValueError: it would strike no call.
        """
        if fault.first < 1 or fault.times < 1:
            raise ValueError(
                f"call={fault.first}, times={fault.times} strikes no call: both count from 1."
            )
        self._planned.append(fault)

    def striking(self, intent_type: str, step: str = "", *, ran: bool = False) -> Fault | None:
        """The fault that strikes this call, if one does; every plan counts it.

        `ran`: of a handler that has returned; what it strikes then counts only such calls.
        """
        met = [
            f
            for f in self._planned
            if (f.intent_type, f.step) == (intent_type, step)
            and (step or (f.moment is Moment.RAN) == ran)
        ]
        struck = [fault for fault in met if fault.strikes()]
        return struck[0] if struck else None

    def check(self) -> None:
        """At the end of a test.

        Raises:
            AssertionError: a fault struck nothing, or less than planned.
        """
        for fault in self._planned:
            if fault.struck < fault.times:
                raise AssertionError(
                    f"The planned fault ({fault}, {fault.times} times) struck {fault.struck} "
                    f"times: {fault.met} calls were made. Check the names, or plan fewer."
                )
