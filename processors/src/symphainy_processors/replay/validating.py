"""Whether what is recorded of an execution is in order, for an auditor's report. Pure.

Each check stands by itself, and a fault ends none. What cannot be told here (a version that
`config` no longer holds, a state that was forgotten) is `unknown`, and never counts as passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs
import msgspec
from msgspec import Struct

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.replay.documents import digest
from symphainy_processors.replay.history import At, History
from symphainy_processors.replay.ordering import Check, is_repeat, order
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.recorded import Judged, Memory, Reads, RecordedFacts, Unknown, read
from symphainy_schemas import events as e
from symphainy_schemas.ids import is_compensation
from symphainy_schemas.records import PLATFORM, PolicyDecision, PolicySet
from symphainy_schemas.state import ExecutionState, State

FORMAT = "symphainy-validation-1"
_OWN = "runtime."


class InForce(Struct, frozen=True):
    """A scope's policies as a partition's journal had activated them before an admission."""

    platform: tuple[int, bytes] | None
    tenant: tuple[int, bytes] | None
    whole: bool
    """Whether the journal was read from its beginning, so that none activated means none."""


class Evidence(Struct, frozen=True, kw_only=True):
    """What a history is held against."""

    configuration: Configuration
    reads: Reads
    in_force: InForce
    chain: Sequence[str]
    """What is wrong with the chain of hashes around it."""
    chained: int
    """How many records the chain was followed over."""
    state: State | None
    """What `state` holds of it."""
    shown: Mapping[str, Any] | None
    """Its document in the read model."""
    shown_events: Sequence[tuple[int, int, str]] | None
    """Its events there: offset, index, type."""


def validate(history: History, evidence: Evidence) -> list[Check]:
    """All checks of an execution that has ended."""
    return [
        order(history),
        _contracts(history, evidence.configuration),
        _policy(history, evidence),
        _state(history, evidence),
        Check(
            name="chain",
            looked_at=f"the chain of hashes over {evidence.chained} records of the journal, from "
            f"offset {history.first} to {history.last}",
            faults=list(evidence.chain),
        ),
    ]


# --- contracts ----------------------------------------------------------------------------------


def _contracts(history: History, configuration: Configuration) -> Check:
    """Payload and result are what the capability in force at its admission says."""
    check = Check(name="contracts", looked_at="the payload and the result, by their contracts")
    received, resolved, result = _told(history)
    if received.intent_type.startswith(_OWN):
        check.looked_at = "nothing: the runtime's own intents have no contract in config"
        return check
    if resolved is None:
        check.looked_at = "nothing: it was refused before a capability was named"
        return check
    name = f"{resolved.name} version {resolved.version}"
    capability = configuration.versions.get((resolved.name, resolved.version))
    if capability is None:
        check.unknown.append(f"config does not hold {name}")
        return check
    check.looked_at = f"the payload and the result, by the contracts of {name}"
    if received.payload_ref is not None:
        check.unknown.append("the payload lies in the object store, and was not read")
    else:
        fault = Contracts().of(capability)(msgspec.json.decode(received.payload or b"{}"))
        if fault is not None:
            check.faults.append(f"the payload: {fault.message} ({fault.field})")
    if result is not None and capability.output_contract:
        validator = jsonschema_rs.validator_for(capability.output_contract.decode(), offline=True)
        found = next(iter(validator.iter_errors(msgspec.json.decode(result))), None)
        if found is not None:
            check.faults.append(f"the result: {str(found.message)[:300]}")
    return check


def _told(
    history: History,
) -> tuple[e.IntentReceived, e.CapabilityResolved | None, bytes | None]:
    """What was received and resolved, and the execution's own result."""
    received: e.IntentReceived | None = None
    resolved: e.CapabilityResolved | None = None
    result: bytes | None = None
    for kept in history.records:
        succeeded = [x for x in kept.record.events if isinstance(x, e.StepSucceeded)]
        for event in kept.record.events:
            if isinstance(event, e.IntentReceived) and not is_repeat(kept.record):
                received, resolved, result = event, None, None
            elif isinstance(event, e.CapabilityResolved) and resolved is None:
                resolved = event
            elif isinstance(event, e.ExecutionSucceeded):
                alone = [one.result for one in succeeded if not is_compensation(one.step)]
                result = event.result or (alone[-1] if alone else None)
    assert received is not None, "a history begins with what was received"
    return received, resolved, result


# --- policy -------------------------------------------------------------------------------------


def _policy(history: History, evidence: Evidence) -> Check:
    """Policy decided once, at admission, by what was in force, and as it would again."""
    first = history.records[0]
    check = Check(name="policy", looked_at="the decision that was recorded at its admission")
    judged = read(first.record, first.offset)
    decisions = [
        event.decision
        for kept in history.records
        for event in kept.record.events
        if isinstance(event, e.PolicyValidated)
    ]
    if not decisions:
        if isinstance(judged, Judged):
            check.faults.append("it was let pass, and no decision of policy is recorded")
        else:
            check.looked_at = "nothing: it was refused before policy was asked"
        return check
    if len(decisions) > 1:
        check.faults.append(f"{len(decisions)} decisions of policy are recorded, not one")
    if not isinstance(judged, Judged) or judged.decision is None:
        check.faults.append("the decision does not stand in its admission, before what followed")
        return check
    _as_it_said(check, judged, judged.decision)
    policies = _by_set(check, judged.decision, judged.tenant_id, evidence)
    if policies is not None:
        _decided_anew(check, judged, policies, evidence)
    return check


def _as_it_said(check: Check, judged: Judged, decision: PolicyDecision) -> None:
    if judged.accepted and not decision.allowed:
        check.faults.append("policy refused it, and it was accepted")


def _by_set(
    check: Check, decision: PolicyDecision, tenant_id: str, evidence: Evidence
) -> Policies | None:
    """The policies that the decision names, held against what was in force."""
    active = evidence.in_force
    for scope, version, known in (
        (PLATFORM, decision.platform_version, active.platform),
        (tenant_id, decision.tenant_version, active.tenant),
    ):
        if known is not None and known[0] != version:
            check.faults.append(
                f"it was decided under version {version} of the policies of {scope}; version "
                f"{known[0]} was in force on its partition"
            )
        elif known is None and version and active.whole:
            check.faults.append(
                f"it was decided under version {version} of the policies of {scope}, which nobody "
                "had activated on its partition"
            )
        elif known is None and not active.whole:
            check.unknown.append(
                f"which version of the policies of {scope} was in force: what stood before is no "
                "longer kept"
            )
    platform = _set_of(evidence.configuration, PLATFORM, decision.platform_version)
    tenant = _set_of(evidence.configuration, tenant_id, decision.tenant_version)
    if platform is None or (decision.tenant_version and tenant is None):
        check.unknown.append("config does not hold the policies that it was decided under")
        return None
    policies = Policies(platform, tenant)
    if policies.sha256 != decision.sha256:
        check.faults.append(
            "the texts of these versions in config are not those that it was decided under"
        )
        return None
    return policies


def _set_of(configuration: Configuration, scope: str, version: int) -> PolicySet | None:
    if scope == PLATFORM and version == BUILT_IN.version:
        return BUILT_IN
    return configuration.policies.get((scope, version))


def _decided_anew(check: Check, judged: Judged, policies: Policies, evidence: Evidence) -> None:
    """The same texts decide the same of what is recorded."""
    memory = Memory(window_ms=0, whole=False)
    tenants = evidence.configuration.tenants
    facts = RecordedFacts(judged, memory, evidence.reads, tenants.get)
    try:
        anew = policies.decide(facts)
    except Unknown as unknown:
        check.unknown.append(
            f"its policies ask for {unknown.name}, which stands before its own records"
        )
        return
    assert judged.decision is not None
    if anew.stages != judged.decision.stages:
        was = ", ".join(f"{one.stage} {_verdict(one.allowed)}" for one in judged.decision.stages)
        now = ", ".join(f"{one.stage} {_verdict(one.allowed)}" for one in anew.stages)
        check.faults.append(
            f"its policies decide otherwise of what is recorded: recorded {was}; anew {now}"
        )


def _verdict(allowed: bool) -> str:
    return "allowed" if allowed else "refused"


# --- state --------------------------------------------------------------------------------------


def _state(history: History, evidence: Evidence) -> Check:
    """`state` in Kafka and the read model are the fold of the journal."""
    check = Check(name="state", looked_at="the fold of the journal, by `state` and the read model")
    *_, last = history.moments()
    kept = evidence.state
    if kept is None or not isinstance(kept.body, ExecutionState):
        check.unknown.append("`state` no longer holds it: ended executions are forgotten in time")
    elif kept.as_of < history.first:
        check.unknown.append(f"`state` holds it as of offset {kept.as_of}, before its admission")
    else:
        *_, then = history.upto(At(offset=kept.as_of)).moments()
        if digest(then.state) != digest(kept.body):
            names = _differ(kept.body, then.state)
            check.faults.append(f"`state` as of offset {kept.as_of} is not the fold: {names}")
    _read_model(check, history, last.state, evidence)
    return check


def _differ(kept: ExecutionState, folded: ExecutionState) -> str:
    names = [n for n in folded.__struct_fields__ if getattr(kept, n) != getattr(folded, n)]
    return ", ".join(names)


def _read_model(check: Check, history: History, state: ExecutionState, evidence: Evidence) -> None:
    if evidence.shown is None or evidence.shown_events is None:
        check.unknown.append("the read model no longer holds it, or was not asked")
        return
    if evidence.shown["status"] != state.status:
        check.faults.append(
            f"the read model shows status {evidence.shown['status']}; its fold is {state.status}"
        )
    told = [
        (kept.offset, index, e.event_type(event))
        for kept in history.records
        for index, event in enumerate(kept.record.events)
    ]
    if told != list(evidence.shown_events):
        check.faults.append(
            f"the read model shows {len(evidence.shown_events)} events, which are not the "
            f"{len(told)} of the journal"
        )
