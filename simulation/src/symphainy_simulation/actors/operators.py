"""Who looks after plans that are stuck: somebody retries, has all undone, cancels, or leaves it."""

from __future__ import annotations

from random import Random

from symphainy_schemas.state import ExecutionState, StepStatus
from symphainy_simulation.actors.programs import Input
from symphainy_simulation.plan import Kind, Stated

MOST = 3  # that is done about one execution when all is healed
Act = tuple[Kind, str, dict[str, object]]


def asks(one: Stated, first: Stated) -> dict[str, object]:
    """What is said of the step that is to be tried again, with another input or with its own."""
    if one.kind is not Kind.RETRY:
        return {}
    if not one.lines:
        return {"step": one.step}
    return {"step": one.step, "input": Input(first.number, first.key, one.lines, one.lines[:1])}


class Operators:
    """What they did at the end of a run, by execution."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._seen: dict[str, list[int]] = {}

    def act(self, state: ExecutionState) -> Act | None:
        """What to do about it; nothing while it is as it was, or enough has been done."""
        seen = self._seen.setdefault(state.execution_id, [])
        if state.controlled_at in seen or len(seen) > MOST:
            return None
        seen.append(state.controlled_at)
        if len(seen) > MOST:
            return None
        name = f"tend{len(seen)}.{state.execution_id}"
        failed = [step.step for step in state.steps if step.status is StepStatus.FAILED]
        match self._chance.choice(("retry", "retry", "retry", "undo", "cancel", "leave")):
            case "retry":
                what: dict[str, object] = {"step": self._chance.choice(failed), "reason": "mended"}
                if self._chance.random() < 0.4:
                    what["input"] = Input(0, "y", (), ())
                return Kind.RETRY, name, what
            case "undo":
                return Kind.UNDO, name, {"reason": "given up"}
            case "cancel":
                return Kind.CANCEL, name, {"reason": "given up"}
        return None
