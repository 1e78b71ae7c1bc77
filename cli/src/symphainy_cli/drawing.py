"""Drawing a saga for a terminal: its steps by depth, and beside each what undoes it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from symphainy import ExecutionError, Saga, SagaStep
from symphainy.sagas import NOT_BEGUN, Attempted, Request

# Of what a step shows: a mark, a colour, and words where the state's own name says too little.
_LOOKS: Mapping[str, tuple[str, str, str]] = {
    NOT_BEGUN: ("·", "dim", "not begun"),
    "ready": ("○", "yellow", "ready"),
    "dispatched": ("○", "yellow", "dispatched"),
    "started": ("●", "yellow", "started"),
    "backing_off": ("↻", "yellow", "backing off"),
    "suspended": ("…", "cyan", "waiting"),
    "held": ("‖", "cyan", "held"),
    "succeeded": ("✔", "green", "succeeded"),
    "failed": ("✘", "red", "failed"),
    "cancelled": ("✕", "magenta", "cancelled"),
    "skipped": ("–", "dim", "skipped"),
}
_UNDONE = {NOT_BEGUN: "", "succeeded": "undone", "failed": "not undone"}
_OVERALL = {
    "succeeded": "green",
    "failed": "red",
    "rejected": "red",
    "stuck": "bold red",
    "compensating": "magenta",
    "compensated": "magenta",
    "cancelled": "magenta",
}
_MINUTE_MS = 60_000
FEW = 5
"""So many elements of a list, and errors and ways on, are told one by one unless all are."""


def draw(saga: Saga, now_ms: int, *, every: bool = False) -> list[RenderableType]:
    """The lines and the table that show a saga, from top to bottom; `now_ms` ends what runs.

    `every`: each element of a list, however many a step is run for.
    """
    return [
        _heading(saga, now_ms),
        *_requests(saga),
        _graph(saga, now_ms, every),
        *_cut(_faults(saga), every),
        *_ways_on(saga, every),
    ]


def depths(steps: Sequence[SagaStep]) -> dict[str, int]:
    """How many steps stand before each, at most, on the way from a step that needs none."""
    found: dict[str, int] = {}
    for one in steps:  # needs come first in a plan
        found[one.step] = max((found.get(need, 0) + 1 for need in one.needs), default=0)
    return found


def duration(ms: int) -> str:
    """A time as people say it: `120 ms`, `1.2 s`, `3 min 04 s`, `2 h 05 min`."""
    if ms < 1_000:
        return f"{max(ms, 0)} ms"
    if ms < _MINUTE_MS:
        return f"{ms / 1_000:.1f} s"
    seconds = ms // 1_000
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3_600} h {seconds % 3_600 // 60:02} min"


def _heading(saga: Saga, now_ms: int) -> Text:
    took = saga.execution_time_ms
    took = now_ms - saga.started_at if took is None else took
    return Text.assemble(
        (saga.intent_type, "bold"),
        f"  {saga.execution_id}  ",
        (saga.status, _OVERALL.get(saga.status, "yellow")),
        f"  {duration(took)}",
    )


def _requests(saga: Saga) -> Iterator[Text]:
    told: tuple[tuple[str, Request | None], ...] = (
        ("paused", saga.paused),
        ("to be ended", saga.cancel),
        ("to be undone", saga.compensation),
    )
    for what, request in told:
        if request is not None:
            why = f": {request.reason}" if request.reason else ""
            yield Text(f"{what}, by {request.by}{why}", "cyan")


def _cut(lines: Iterable[Text], every: bool) -> Iterator[Text]:
    """The first of many lines, and how many there are."""
    several = iter(lines)
    yield from several if every else islice(several, 2 * FEW)
    left = sum(1 for _ in several)
    if left:
        yield Text(f"… and {left} more: --all", "dim")


def _graph(saga: Saga, now_ms: int, every: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    undone = any(one.compensation is not None for one in saga.steps)
    for name in ("step", "state", "tries", "time", "runs in", *(("undone by",) if undone else ())):
        table.add_column(name, overflow="fold")
    depth = depths(saga.steps)
    elements = _elements(saga)
    for one in sorted(saga.steps, key=lambda step: depth[step.step]):  # else as in the plan
        if len(elements.get(one.element_of, ())) > FEW and not every:
            continue
        several = elements.get(one.step, ())
        cells = [
            _name(one, depth[one.step], len(several)),
            _states(several) if several else _state(one, now_ms),
            Text(str(one.attempt or "")),
            Text(_took(one, now_ms)),
            Text(f"{one.realm}  {one.worker}".rstrip(), "dim"),
        ]
        if undone and several:
            cells.append(_states([x.compensation for x in several if _is_undone(x)], undoing=True))
        elif undone:
            cells.append(_undoing(one, now_ms))
        table.add_row(*cells)
    return table


def _elements(saga: Saga) -> Mapping[str, Sequence[SagaStep]]:
    """What is run for each element of a list, by the step that is."""
    found: dict[str, list[SagaStep]] = {}
    for one in saga.steps:
        if one.element_of:
            found.setdefault(one.element_of, []).append(one)
    return found


def _is_undone(one: SagaStep) -> bool:
    return one.compensation is not None and one.compensation.status != NOT_BEGUN


def _states(several: Sequence[Attempted | None], *, undoing: bool = False) -> Text:
    """How many of several steps are in which state: `7 succeeded, 2 started, 1 failed`."""
    counts = Counter(one.status for one in several if one is not None)
    text = Text()
    for status, count in counts.most_common():
        _, colour, words = _LOOKS.get(status, ("?", "", status))
        words = _UNDONE.get(status, words) if undoing else words
        text.append(f"{', ' if text else ''}{count} {words}", colour)
    return text


def _name(one: SagaStep, depth: int, elements: int) -> Text:
    arrow = f"{'   ' * (depth - 1)}└─▸" if depth else ""
    arrow = " " * len(arrow) + "  " if one.element_of else arrow
    name = f"{one.step}[0..{elements - 1}]" if elements > 1 else one.step
    text = Text.assemble((f"{arrow} " if arrow else "", "dim"), (name, "bold"))
    if one.needs and not one.element_of:
        text.append(f" ← {', '.join(one.needs)}", "dim")
    return text


def _state(one: Attempted, now_ms: int) -> Text:
    mark, colour, words = _LOOKS.get(one.status, ("?", "", one.status))
    if one.status == "backing_off" and one.due_at is not None:
        words = f"again in {duration(one.due_at - now_ms)}"
    if isinstance(one, SagaStep) and one.status == "suspended" and one.waits:
        words = f"waiting for {', '.join(str(wait.get('name')) for wait in one.waits)}"
    return Text(f"{mark} {words}", colour)


def _undoing(one: SagaStep, now_ms: int) -> Text:
    undo = one.compensation
    if undo is None:
        return Text("")
    mark, colour, words = _LOOKS.get(undo.status, ("?", "", undo.status))
    words = _UNDONE.get(undo.status, words)
    tried = f"{undo.attempt} tries" if undo.attempt > 1 else ""
    said = ", ".join(part for part in (words, tried, _took(undo, now_ms)) if part)
    return Text(f"{mark} {undo.handler}{': ' + said if said else ''}", colour)


def _took(one: Attempted, now_ms: int) -> str:
    if one.started_at is None:
        return ""
    if one.ended_at is None and one.status != "started":
        return ""
    return duration((one.ended_at or now_ms) - one.started_at)


def _faults(saga: Saga) -> Iterator[Text]:
    told: list[ExecutionError] = []
    for one in _attempted(saga):
        if one.error is not None and one.status in ("failed", "backing_off"):
            told.append(one.error)
            yield _fault(one.step, one.error)
    error = saga.error
    if error is not None and not any(error.code == one.code for one in told):
        yield _fault(saga.intent_type, error)


def _fault(name: str, error: ExecutionError) -> Text:
    text = Text.assemble((f"{name}: ", "bold"), (error.code, "red"), f": {error.message}")
    if error.field:
        text.append(f" (field {error.field})")
    if error.cure:
        text.append(f" {error.cure}")
    return text


def _ways_on(saga: Saga, every: bool) -> Iterator[Text]:
    """What an operator can do about a saga that is stuck: what the error says, and the rest."""
    if saga.status != "stuck":
        return
    said = saga.error.operator_action if saga.error is not None else ""
    yield Text.assemble(("stuck", "bold red"), f": {said or 'an operator is to decide.'}")
    undoing = any(one.compensation and one.compensation.attempt for one in saga.steps)
    failed = [one.step for one in _attempted(saga) if one.status == "failed"]
    again = [
        f"symphainy saga retry {saga.execution_id} {step}"
        for step in failed
        if step.startswith("compensate:") == undoing
    ]
    yield from _cut((Text(f"  also failed: {x}") for x in again if x not in said), every)
    if failed and not undoing:
        yield Text("  with another input: --input '{…}' or --input @file behind a retry")
    undoes = not undoing and any(one.compensation is not None for one in saga.steps)
    also = "  (undoes what was done, too)" if undoes else ""
    yield Text(f"  to give it up: symphainy cancel {saga.execution_id}{also}")


def _attempted(saga: Saga) -> Iterator[Attempted]:
    """What can be tried again by its name, and what has failed before it could be tried."""
    several = _elements(saga)
    for one in saga.steps:
        if one.step in several:
            continue
        yield one
        if one.compensation is not None:
            yield one.compensation
