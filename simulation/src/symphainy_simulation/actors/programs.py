"""What simulated handlers do: a list of pieces in the payload, a function of the attempt alone."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from symphainy.invoking import child_of
from symphainy_schemas.records import ENDED, Call, Error, StateChange, StepReport, Task
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
class Invokes:
    """`ctx.invoke` states an intent, under a name."""

    name: str
    call: Call


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


Piece = Work | Step | Progress | Waits | Invokes | Hangs | Fails | Succeeds


WAITS = frozenset({"sleep", "signal", "both"})
INVOKES = frozenset({"invoke", "insist", "begin", "state", "gather"})


class Line(msgspec.Struct, frozen=True):
    """One piece in a payload: what, a name, ms, and up to which attempt it happens.

    What is invoked is `asks`, and does `lines`. Its end is waited for (`invoke`, `insist`: raise
    unless it succeeds) for at most `ms`, 0 for ever; by a later line of that name, if there is one
    (`begin`); or not (`state`). What is done side by side (`gather`) are `lines`. Without either
    it is written as it was before there were any.
    """

    do: str
    name: str = ""
    ms: int = 0
    until: int = 1_000
    asks: str | msgspec.UnsetType = msgspec.UNSET
    lines: tuple[Line, ...] | msgspec.UnsetType = msgspec.UNSET


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
        self._task = task
        self._payload = _decode(task.payload)
        self._attempt = task.attempt
        self._lines = (self._payload.undo if task.compensates else self._payload.lines) or ()
        self._carried = {known.name: known.result for known in task.checkpoints}
        self._stated: set[str] = set()
        self._at = 0

    def next(self) -> Piece:
        """What it does next; what a checkpoint answers takes no time."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            piece = self._comes(line) if self._attempt <= line.until else None
            if piece is None or not isinstance(piece, Invokes):
                self._at += 1
            if piece is not None:
                return piece
        n = self._payload.n or 0
        told = {"n": n, "attempt": self._attempt, "lock": self._payload.key}
        result = msgspec.json.encode(told)
        return Succeeds(result, (StateChange("n", str(n).encode()),))

    def _comes(self, line: Line) -> Piece | None:
        """What a line still asks for, if anything; who has invoked something comes back to it."""
        if line.do in WAITS or line.do in INVOKES:
            return self._together(_lines_of(line) if line.do == "gather" else (line,))
        return None if line.do == "step" and line.name in self._carried else _piece(line)

    def _together(self, lines: tuple[Line, ...]) -> Piece | None:
        """All is stated before anything is waited for; who insists waits for nothing beside."""
        for line in lines:
            if line.do in INVOKES and not {line.name} & (self._stated | self._carried.keys()):
                self._stated.add(line.name)
                return Invokes(line.name, _call(line, self._payload.n or 0))
        if any(line.do == "insist" and self._went_badly(line.name) for line in lines):
            return Fails(Error(code="child_failed", message="It has not."), -1)
        waits = [x for line in lines for x in self._waits(line) if x[0] not in self._carried]
        return Waits(tuple(waits)) if waits else None

    def _waits(self, line: Line) -> tuple[tuple[str, int, str], ...]:
        if line.do in ("begin", "state"):
            return ()
        if line.do not in INVOKES:
            return _waits(line)
        return ((ended(line.name), line.ms, self._child(line.name)),)

    def _child(self, name: str) -> str:
        """The execution of what was invoked under a name."""
        if name in self._carried:
            return str(msgspec.json.decode(self._carried[name]))
        return child_of(self._task, name)

    def _went_badly(self, name: str) -> bool:
        outcome = self._carried.get(ended(name))
        if outcome is None:
            return False
        return not outcome or bool(msgspec.json.decode(outcome)["status"] != "succeeded")


def ended(name: str) -> str:
    """Under which name the end of what was invoked is recorded."""
    return name + ENDED


def _call(line: Line, n: int) -> Call:
    lines = _lines_of(line)
    parts = {one.name: Part(_lines_of(one)) for one in lines if one.do == "part"}
    payload: Payload | Planned = Planned(n, "x", parts) if parts else Payload(n, "x", lines)
    asks = "" if isinstance(line.asks, msgspec.UnsetType) else line.asks
    realm = asks.partition(".")[0]
    return Call(asks, realm, encode_payload(payload), awaited=line.do != "state")


def _lines_of(line: Line) -> tuple[Line, ...]:
    return () if isinstance(line.lines, msgspec.UnsetType) else line.lines


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
