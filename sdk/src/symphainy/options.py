"""What a realm may declare about an intent beside its contract. Pure, frozen, checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from symphainy.durations import duration_ms
from symphainy.errors import DeclarationError
from symphainy_schemas.records import Determinism

Serves = int | Literal["older", "own"]


def _duration(what: str, value: timedelta | str) -> int:
    try:
        return duration_ms(value)
    except ValueError as error:
        raise DeclarationError(
            f"{what}: {error}.", code="bad_duration", cure='For example "30s" or "2m".'
        ) from error


def _require_time(what: str, value: timedelta | str | None, ms: int) -> None:
    if value is not None and ms < 1:
        raise DeclarationError(
            f"{what}={value!r} leaves no time.",
            code="bad_duration",
            cure="Use at least 1 ms, or None for no limit.",
        )


UNLIMITED = 1_000_000
"""Attempts; the schema wants a number, and nobody waits for so many."""


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """How often an attempt may fail, and how long the runtime waits between attempts."""

    attempts: int
    initial: timedelta | str
    factor: float
    maximum: timedelta | str

    def __init__(
        self,
        attempts: int | None = 5,
        initial: timedelta | str = "1s",
        factor: float = 2.0,
        maximum: timedelta | str = "1m",
    ) -> None:
        """`attempts` counts the first one too; None: until one succeeds, fails for good, or the
        execution is to end (it then reads as 1,000,000). The n-th delay is
        `initial * factor**(n-1)`, at most `maximum`; both are timedeltas or durations such as "1s".

        Raises:
            DeclarationError: a value makes no sense.
        """
        object.__setattr__(self, "attempts", UNLIMITED if attempts is None else attempts)
        object.__setattr__(self, "initial", initial)
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "maximum", maximum)
        self._check()

    def _check(self) -> None:
        """Check all values where they are written."""
        if isinstance(self.attempts, bool) or not 1 <= self.attempts <= UNLIMITED:
            raise DeclarationError(
                f"Retry(attempts={self.attempts!r}) is no number of attempts.",
                code="bad_retry",
                cure=f"Use 1 (no retry) to {UNLIMITED}, or None for no limit.",
            )
        if not 1.0 <= self.factor <= 100.0:
            raise DeclarationError(
                f"Retry(factor={self.factor!r}) would shrink the delay, or blow it up.",
                code="bad_retry",
                cure="Use 1.0 (constant delay) to 100.0.",
            )
        if self.maximum_ms < self.initial_ms:
            raise DeclarationError(
                f"Retry: maximum {self.maximum!r} is shorter than initial {self.initial!r}.",
                code="bad_retry",
                cure="Raise maximum, or lower initial.",
            )

    @property
    def initial_ms(self) -> int:
        """The first delay in ms."""
        return _duration("Retry(initial=…)", self.initial)

    @property
    def maximum_ms(self) -> int:
        """The largest delay in ms."""
        return _duration("Retry(maximum=…)", self.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentOptions:
    """What a realm declares about an intent beside its contract; see `Realm.intent`."""

    retry: Retry = Retry()
    timeout: timedelta | str | None = "5m"
    heartbeat: timedelta | str | None = None
    deadline: timedelta | str | None = None
    determinism: Determinism = Determinism.UNKNOWN
    description: str = ""
    serves: Serves = "older"

    def __post_init__(self) -> None:
        """Check the times where they are written."""
        _require_time("timeout", self.timeout, self.timeout_ms)
        _require_time("heartbeat", self.heartbeat, self.heartbeat_ms)
        _require_time("deadline", self.deadline, self.deadline_ms)
        if self.heartbeat_ms and self.timeout_ms and self.heartbeat_ms >= self.timeout_ms:
            raise DeclarationError(
                f"heartbeat={self.heartbeat!r} is not shorter than timeout={self.timeout!r}.",
                code="bad_duration",
                cure="Shorten the heartbeat, or leave it out.",
            )
        number = isinstance(self.serves, int) and not isinstance(self.serves, bool)
        if self.serves not in ("older", "own") and not (number and int(self.serves) >= 1):
            raise DeclarationError(
                f"serves={self.serves!r} names no versions.",
                code="bad_serves",
                cure='Use "older", "own", or the oldest version that this code can go on with.',
            )

    @property
    def timeout_ms(self) -> int:
        """Start-to-finish limit of one attempt in ms; 0 for none."""
        return 0 if self.timeout is None else _duration("timeout", self.timeout)

    @property
    def heartbeat_ms(self) -> int:
        """The longest that an attempt may run without a sign of life, in ms; 0 for none."""
        return 0 if self.heartbeat is None else _duration("heartbeat", self.heartbeat)

    @property
    def deadline_ms(self) -> int:
        """The longest that the whole execution may take, in ms; 0 for none."""
        return 0 if self.deadline is None else _duration("deadline", self.deadline)
