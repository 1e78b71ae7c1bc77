"""Validation: what is in order passes, and each thing that is not is found by the check it is of.

- A step that was never dispatched, an event behind the end, time that runs back, a missing end.
- A payload and a result that break their contracts; a version that config does not hold.
- A decision that is missing, of another version, of other texts, or that its policies do not make.
- A state that is not the fold; a read model that shows something else; a broken chain.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.samples import STATE
from tests.support.shadowed_realm import before
from tests.unit.processors.test_sessions import Scene

from symphainy.testing import Harness
from symphainy_processors.replay.documents import digest
from symphainy_processors.replay.history import History, Kept, history
from symphainy_processors.replay.ordering import Check, Standing
from symphainy_processors.replay.report import scope_of, target_of
from symphainy_processors.replay.validating import Evidence, InForce, validate
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.recorded import Reads
from symphainy_runtime.policy.writing import policy_set
from symphainy_schemas import events as e
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import PLATFORM, Stage, Tenant
from symphainy_schemas.state import ExecutionState, State
from symphainy_testing.harness import _capabilities

Change = Callable[[e.JournalRecord], e.JournalRecord]


async def recorded(kind: str = "stepped") -> tuple[History, Configuration]:
    """An execution's history, and the configuration of its time."""
    async with Harness(before) as harness:
        run = await harness.submit(f"shadowed.{kind}", {"n": 3}, until="ended")
        kept = []
        for offset, value in enumerate(harness.journal):
            record = decode(value, e.JournalRecord)
            if record.execution_id == run.execution_id:
                kept.append(Kept(offset, value, record))
        configuration = Configuration()
        for one in _capabilities([before], 0):
            contracted = replace(one, output_contract=b'{"type":["object","null"]}')
            configuration.versions[one.name, one.version] = contracted
        name = run.tenant_id
        configuration.tenants[name] = Tenant(
            tenant_id=name, version=1, display_name="", shard_size=0, created_at=0
        )
        return history(run.execution_id, 0, kept), configuration


def evidence(found: History, configuration: Configuration) -> Evidence:
    """What fits the history in every way."""
    *_, last = found.moments()
    state = State(as_of=found.last, term=0, seq=1, evolve_version=1, body=last.state)
    return Evidence(
        configuration=configuration,
        reads=Reads(target_of, scope_of),
        in_force=InForce(None, None, True),
        chain=(),
        chained=len(found.records),
        state=state,
        shown={"status": last.state.status.value},
        shown_events=[
            (kept.offset, index, e.event_type(event))
            for kept in found.records
            for index, event in enumerate(kept.record.events)
        ],
    )


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def changed(found: History, kind: type[e.Event], change: Change) -> History:
    """The history with the first record that tells of such an event changed."""
    records = list(found.records)
    index = next(
        n for n, kept in enumerate(records) if any(isinstance(x, kind) for x in kept.record.events)
    )
    kept = records[index]
    records[index] = Kept(kept.offset, kept.value, change(kept.record))
    return replace(found, records=tuple(records))


def without(kind: type[e.Event]) -> Change:
    def change(record: e.JournalRecord) -> e.JournalRecord:
        left = tuple(event for event in record.events if not isinstance(event, kind))
        return replace(record, events=left)

    return change


def ended_before_it_began(record: e.JournalRecord) -> e.JournalRecord:
    received, *others = record.events
    return replace(record, events=(received, e.ExecutionSucceeded(), *others))


async def test_what_is_in_order_passes() -> None:
    for kind in ("quick", "stepped", "parent", "refused"):
        found, configuration = await recorded(kind)
        checks = validate(found, evidence(found, configuration))
        assert {check.name: check.faults + check.unknown for check in checks} == {
            "order": [],
            "contracts": [],
            "policy": [],
            "state": [],
            "chain": [],
        }, kind


@pytest.mark.parametrize(
    ("kind", "change", "fault"),
    [
        (e.StepDispatched, without(e.StepDispatched), "never dispatched"),
        (e.ExecutionSucceeded, without(e.ExecutionSucceeded), "no end"),
        (e.StepSucceeded, lambda record: replace(record, at=5), "runs back"),
        (e.IntentReceived, lambda record: replace(record, cause=None), "names no intent"),
        (
            e.StepDispatched,
            ended_before_it_began,
            "behind its end",
        ),
    ],
)
async def test_what_is_out_of_order_is_found(
    kind: type[e.Event], change: Change, fault: str
) -> None:
    found, configuration = await recorded()
    held = evidence(found, configuration)
    check = by_name(validate(changed(found, kind, change), held))["order"]
    assert check.standing is Standing.FAILED
    assert fault in " ".join(check.faults)


async def test_what_breaks_a_contract_is_found() -> None:
    found, configuration = await recorded("quick")

    def other_payload(record: e.JournalRecord) -> e.JournalRecord:
        first = record.events[0]
        assert isinstance(first, e.IntentReceived)
        return replace(record, events=(replace(first, payload=b'{"n":"x"}'), *record.events[1:]))

    broken = changed(found, e.IntentReceived, other_payload)
    check = by_name(validate(broken, evidence(found, configuration)))["contracts"]
    assert any("the payload" in fault for fault in check.faults)

    def other_result(record: e.JournalRecord) -> e.JournalRecord:
        told = (
            replace(x, result=b'"no object"') if isinstance(x, e.StepSucceeded) else x
            for x in record.events
        )
        return replace(record, events=tuple(told))

    broken = changed(found, e.StepSucceeded, other_result)
    check = by_name(validate(broken, evidence(found, configuration)))["contracts"]
    assert any("the result" in fault for fault in check.faults)
    check = by_name(validate(found, evidence(found, Configuration())))["contracts"]
    assert check.standing is Standing.UNKNOWN


async def test_a_decision_that_is_not_what_it_should_be_is_found() -> None:
    found, configuration = await recorded("quick")
    held = evidence(found, configuration)

    def policy(history: History, more: Evidence) -> Check:
        return by_name(validate(history, more))["policy"]

    missing = changed(found, e.PolicyValidated, without(e.PolicyValidated))
    assert "no decision" in policy(missing, held).faults[0]

    forbids = policy_set(PLATFORM, {Stage.SECURITY_GUARD: "forbid(principal, action, resource);"})
    forbids = replace(forbids, version=7)
    other = replace(held, in_force=InForce((7, forbids.sha256), None, True))
    assert "version 7" in policy(found, other).faults[0]

    def claiming(sha256: bytes) -> History:
        def change(record: e.JournalRecord) -> e.JournalRecord:
            events = tuple(
                replace(x, decision=replace(x.decision, platform_version=7, sha256=sha256))
                if isinstance(x, e.PolicyValidated)
                else x
                for x in record.events
            )
            return replace(record, events=events)

        return changed(found, e.PolicyValidated, change)

    claimed = claiming(Policies(forbids, None).sha256)
    configuration.policies[PLATFORM, 7] = forbids
    assert "decide otherwise" in policy(claimed, other).faults[0]
    claimed = claiming(b"x" * 32)
    assert "not those" in policy(claimed, other).faults[0]
    del configuration.policies[PLATFORM, 7]
    assert policy(claimed, other).standing is Standing.UNKNOWN
    expired = replace(held, in_force=InForce(None, None, False))
    assert policy(found, expired).standing is Standing.UNKNOWN


def test_a_state_has_one_hash_in_memory_and_read_from_kafka() -> None:
    """Also where its members are their defaults, as of the runtime's own intents, and of refused
    ones."""
    own = Scene().execution("open")
    for body in (STATE.body, own):
        read = decode(encode(replace(STATE, body=body)), State).body
        assert read == body
        assert digest(read) == digest(body)
    assert digest(own) != digest(replace(own, backoff_factor=own.backoff_factor + 1))


async def test_a_state_that_is_not_the_fold_is_found() -> None:
    found, configuration = await recorded()
    held = evidence(found, configuration)

    def state(more: Evidence) -> Check:
        return by_name(validate(found, more))["state"]

    assert held.state is not None
    body = held.state.body
    assert isinstance(body, ExecutionState)
    wrong = replace(held, state=replace(held.state, body=replace(body, ended_at=1)))
    assert "ended_at" in state(wrong).faults[0]
    shown = replace(held, shown={"status": "failed"})
    assert "status failed" in state(shown).faults[0]
    assert held.shown_events is not None
    fewer = replace(held, shown_events=held.shown_events[:-1])
    assert "events" in state(fewer).faults[0]
    gone = replace(held, state=None, shown=None)
    assert state(gone).standing is Standing.UNKNOWN
    broken = replace(held, chain=["offset 3: it does not follow"])
    assert by_name(validate(found, broken))["chain"].standing is Standing.FAILED
