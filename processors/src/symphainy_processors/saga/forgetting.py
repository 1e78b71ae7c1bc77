"""Decide what a step asks for anew that an operator has tried again: what it invoked in vain. Pure.

Every attempt meets what is recorded, so also that what it invoked did not succeed. Who asks for one
attempt more means that this is tried as well. Where the handler has gone on past such an end, and
something is recorded of what it did then, the end stands: code that does not meet it again would
not ask for that either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from symphainy_processors.saga.family import has_succeeded
from symphainy_schemas.records import BRANCHED, ENDED, INVOKED
from symphainy_schemas.state import ExecutionState, StepState


class _Known(Struct, frozen=True, gc=False):
    """What is recorded of a step, and the ends that it has not asked for yet."""

    recorded: Mapping[str, bytes]
    told: Mapping[str, bytes]

    def child(self, invocation: str) -> str:
        """The execution that was invoked under that name."""
        return str(msgspec.json.decode(self.recorded[invocation]))

    def is_end(self, name: str) -> bool:
        """Whether that is the end of an invocation."""
        return name.endswith(ENDED) and name.removesuffix(ENDED) in self.recorded

    def is_lost(self, name: str, forgotten: Sequence[str]) -> bool:
        """Whether that is an invocation without a success, now or afterwards, that still counts."""
        if not name.startswith(INVOKED):
            return False
        late = self.told.get(self.child(name))
        if name + ENDED in self.recorded:
            return name + ENDED in forgotten and not (late and has_succeeded(late))
        return late is not None and not has_succeeded(late)


def forgotten(state: ExecutionState, step: StepState) -> tuple[str, ...]:
    """The names of what is recorded in vain: invocations, their ends, and ends that are kept."""
    recorded = {known.name: known.result for known in step.checkpoints}
    known = _Known(recorded, {signal.name: signal.data for signal in state.signals})
    names: list[str] = []
    binds = BRANCHED not in recorded  # what stands behind the mark is not missed
    stands = False  # whether something that binds the handler stands behind
    for name, result in reversed(recorded.items()):
        if name == BRANCHED:
            binds = True
        elif known.is_end(name):
            in_vain = not result or not has_succeeded(result)
            if in_vain and not stands:
                names.append(name)
        elif known.is_lost(name, names):
            names.append(name)
            child = known.child(name)
            if child in known.told:
                names.append(child)
        else:
            stands = stands or binds
    return tuple(names)
