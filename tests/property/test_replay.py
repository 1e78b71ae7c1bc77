"""Replay against what live observers saw, on random recorded histories.

- The state as of every offset is what the owner had in memory when that record was its last; over
  a simulated cluster's crashes, takeovers, zombies and lost disks too.
- A full replay of whatever a handler did returns what is recorded of it, and runs no step.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from tests.property.test_harness import PARTS, PLANS, Plan, Program, realm_of

from symphainy.replaying.comparing import Verdict
from symphainy.replaying.running import Rerunner
from symphainy.testing import Harness
from symphainy_processors.fold.partition import Applied, PartitionState
from symphainy_processors.replay.documents import as_of, digest
from symphainy_processors.replay.history import At, History, Kept, history
from symphainy_processors.replay.recordings import recordings
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.events import IntentReceived, JournalRecord
from symphainy_schemas.records import BRANCHED
from symphainy_schemas.state import ExecutionState
from symphainy_simulation.drawing import expand
from symphainy_simulation.run import simulate
from symphainy_transport.artifacts import ArtifactStore

SEEDS = range(12)
Live = dict[int, dict[str, ExecutionState]]
"""By offset: the executions that a record changed, as its owner then had them."""


def kept(values: Sequence[tuple[int, bytes]]) -> list[Kept]:
    """The records that count."""
    standing, found = Validity(), []
    for offset, value in values:
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None:
            found.append(Kept(offset, value, stored.record))
    return found


def histories(partition: int, records: Sequence[Kept]) -> Iterator[History]:
    """Every execution of a journal."""
    found: dict[str, list[Kept]] = {}
    for one in records:
        if one.record.execution_id:
            found.setdefault(one.record.execution_id, []).append(one)
    for name, own in found.items():
        events = own[0].record.events
        if events and isinstance(events[0], IntentReceived):
            yield history(name, partition, own)


@contextmanager
def watched() -> Iterator[Live]:
    """What the owner has in memory after each record."""
    live: Live = {}
    really = PartitionState.apply

    def apply(self: PartitionState, record: JournalRecord, standing: Validity) -> Applied:
        applied = really(self, record, standing)
        state = self.execution(record.execution_id) if record.execution_id else None
        if state is not None:
            live.setdefault(standing.offset, {})[record.execution_id] = state
        return applied

    with patch.object(PartitionState, "apply", apply):
        yield live


async def recorded(
    parts: list[list[str]], plans: list[Plan | None]
) -> tuple[list[History], Live, Counter[str], Rerunner]:
    """A random handler's execution, whatever goes wrong with it."""
    effects = Counter[str]()
    realm = realm_of(effects)
    steps = [
        f"{n}.{i}"
        for n, part in enumerate(parts)
        for i, kind in enumerate(part)
        if kind in ("step", "thread")
    ]
    with watched() as live:
        async with Harness(realm) as harness:
            for name, plan in zip(steps, plans, strict=False):
                if plan is not None:
                    plan.on(harness, name)
            await harness.submit("programs.run", Program(parts=parts), until="ended")
            found = list(histories(0, kept(list(enumerate(harness.journal)))))
    return found, live, effects, Rerunner([realm], ArtifactStore("memory:///"), None)


@settings(max_examples=60, deadline=None)
@given(parts=PARTS, plans=PLANS)
def test_every_state_was_live_and_a_full_replay_returns_the_same(
    parts: list[list[str]], plans: list[Plan | None]
) -> None:
    async def scenario() -> None:
        found, live, effects, rerunner = await recorded(parts, plans)
        for one in found:
            last: ExecutionState | None = None
            for offset in range(one.first, one.last + 1):
                last = live.get(offset, {}).get(one.execution_id, last)
                assert last is not None
                told = as_of(one, At(offset=offset))
                assert told["state_sha256"] == digest(last)
        before = effects.copy()
        for one in found:
            for step in recordings(one).steps:
                came = await rerunner.run(step)
                marked = any(answer.name == BRANCHED for answer in step.answers)
                may = (Verdict.EQUAL, Verdict.UNDETERMINED) if marked else (Verdict.EQUAL,)
                assert came.verdict in may, came
        assert effects == before

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_state_as_of_any_snapshot_is_the_owners(seed: int) -> None:
    outcome = simulate(expand(seed))
    compared = 0
    for p, written in outcome.history.journal.items():
        values = [(one.offset, one.value or b"") for one in written]
        by_name = {one.execution_id: one for one in histories(p, kept(values))}
        for snapshot in outcome.history.live.get(p, ()):
            for name, body in snapshot.states.items():
                if isinstance(body, ExecutionState) and name in by_name:
                    *_, last = by_name[name].upto(At(offset=snapshot.as_of)).moments()
                    assert last.state == body
                    compared += 1
    assert compared
