"""What simulated handlers do: a list of pieces in the payload, a function of the attempt alone."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from symphainy_schemas.records import Error, StateChange, StepReport, Task
from symphainy_simulation.world.events import MS


@dataclass(frozen=True, slots=True)
class Work:
    """Take time."""

    us: int


@dataclass(frozen=True, slots=True)
class Step:
    """A `ctx.step` whose body runs, and how long it takes."""

    name: str
    us: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`ctx.progress`."""


@dataclass(frozen=True, slots=True)
class Waits:
    """`ctx.sleep` and `ctx.signal`, side by side if several: (name, ms, signal)."""

    several: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Hangs:
    """Never end."""


@dataclass(frozen=True, slots=True)
class Fails:
    """Raise; `after_ms` is the delay asked for, or -1."""

    error: Error
    after_ms: int


@dataclass(frozen=True, slots=True)
class Succeeds:
    """Return."""

    result: bytes
    changes: tuple[StateChange, ...]


Piece = Work | Step | Progress | Waits | Hangs | Fails | Succeeds


WAITS = frozenset({"sleep", "signal", "both"})


class Line(msgspec.Struct, frozen=True):
    """One piece in a payload: what, a name, ms, and up to which attempt it happens."""

    do: str
    name: str = ""
    ms: int = 0
    until: int = 1_000


class Payload(msgspec.Struct, frozen=True):
    """What an intent asks for."""

    n: int
    key: str = ""
    lines: tuple[Line, ...] = ()


class Part(msgspec.Struct, frozen=True):
    """What one step of a plan does, and what undoes it."""

    lines: tuple[Line, ...] = ()
    undo: tuple[Line, ...] = ()


class Element(msgspec.Struct, frozen=True):
    """What a step of a plan does for one element of a list, and what undoes that."""

    n: int
    lines: tuple[Line, ...] = ()
    undo: tuple[Line, ...] = ()


Many = tuple[Element, ...] | str
"""A list whose elements a step is run for; or a text, which is none."""


class Planned(msgspec.Struct, frozen=True):
    """What an intent with a plan asks for, by step."""

    n: int
    key: str
    steps: dict[str, Part]
    many: Many | msgspec.UnsetType = msgspec.UNSET


class Input(msgspec.Struct, frozen=True):
    """What a handler gets: a payload, or what a step's template makes of one. What that does not
    find is null; so is what a step lacks that was skipped."""

    n: int | None
    key: str | None = ""
    lines: tuple[Line, ...] | None = ()
    undo: tuple[Line, ...] | None = ()


_decode = msgspec.json.Decoder(Input).decode
encode_payload = msgspec.json.Encoder().encode


class Program:
    """One run of a handler."""

    def __init__(self, task: Task) -> None:
        self._payload = _decode(task.payload)
        self._attempt = task.attempt
        self._lines = (self._payload.undo if task.compensates else self._payload.lines) or ()
        self._carried = {known.name for known in task.checkpoints}
        self._at = 0

    def next(self) -> Piece:
        """What it does next; what a checkpoint answers takes no time."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if self._attempt > line.until or (line.do == "step" and line.name in self._carried):
                continue
            if line.do in WAITS:
                left = tuple(x for x in _waits(line) if x[0] not in self._carried)
                if left:
                    return Waits(left)
                continue
            return _piece(line)
        n = self._payload.n or 0
        told = {"n": n, "attempt": self._attempt, "lock": self._payload.key}
        result = msgspec.json.encode(told)
        return Succeeds(result, (StateChange("n", str(n).encode()),))


def _waits(line: Line) -> tuple[tuple[str, int, str], ...]:
    """A signal is waited for twice as long: a few come late."""
    sleep, signal = (f"sleep:{line.name}", line.ms, ""), (f"signal:{line.name}", 2 * line.ms)
    both = (sleep, (*signal, line.name))
    return {"sleep": both[:1], "signal": both[1:]}.get(line.do, both)


def _piece(line: Line) -> Piece:
    match line.do:
        case "work":
            return Work(line.ms * MS)
        case "step":
            return Step(line.name, line.ms * MS)
        case "progress":
            return Progress()
        case "hang":
            return Hangs()
        case "refuse":
            return Fails(Error(code="refused", message="No."), -1)
        case _:
            error = Error(code="handler_error", message="not yet", retryable=True)
            return Fails(error, line.ms if line.ms else -1)


def with_changes(report: StepReport, changes: tuple[StateChange, ...]) -> StepReport:
    """A success that changes the state surface too."""
    return replace(report, state_changes=changes)
