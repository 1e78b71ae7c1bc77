"""Invariants of admission.

- An intent is refused with the first thing that its caller can cure, named by code and field.
- A repeated intent id decides nothing new and tells whether the payload was the same.
- Another tenant's session is answered like none.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace
from tests.samples import INTENT, SAMPLES, SESSION, STATE

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.admission.governing import Standing
from symphainy_runtime.policy.actions import ACTIVATE_POLICY
from symphainy_runtime.policy.defaults import BUILT_IN, PLATFORM_OPERATOR
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Capability
from symphainy_schemas.state import (
    Child,
    ExecutionState,
    ExecutionStatus,
    SessionState,
    StepStatus,
    TenantState,
)

_FULL = SAMPLES["capability"]
assert isinstance(_FULL, Capability)
CAPABILITY = replace(_FULL, plan=(), compensation="")
POLICIES = Policies(BUILT_IN, None)
STATED = replace(INTENT, payload_ref=None)
KNOWN = Known(
    partition=3,
    execution=None,
    session=SessionState(
        session_id=SESSION, tenant_id="acme", principal="ann", attributes=b"{}", opened_at=1
    ),
    tenant_exists=True,
    decide=lambda: POLICIES.decide(Facts(STATED, 0)),
    capability=CAPABILITY,
    contract=Contracts().of(
        replace(CAPABILITY, input_contract=b'{"type":"object","required":["path"]}')
    ),
)


def rejection(intent: Any = STATED, **known: Any) -> tuple[str, str]:
    """(code, field) of the refusal."""
    received, *_, rejected = admit(intent, replace(KNOWN, **known))
    assert isinstance(received, e.IntentReceived)
    assert isinstance(rejected, e.IntentRejected)
    assert rejected.error.cure
    return rejected.error.code, rejected.error.field


def test_what_governs_and_cannot_be_read_is_malformed_and_asks_nobody_what_is_in_force() -> None:
    asks = replace(STATED, intent_type=ACTIVATE_POLICY, realm="runtime", payload=b"[1")

    def never() -> Standing:
        raise AssertionError("asked")

    assert rejection(asks, governed=never) == ("payload_malformed", "/payload")


def test_a_good_intent_is_received_resolved_and_started() -> None:
    kinds = [type(event) for event in admit(STATED, KNOWN)]
    assert kinds == [
        e.IntentReceived,
        e.PolicyValidated,
        e.CapabilityResolved,
        e.ExecutionStarted,
    ]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"intent_id": "a b"}, "intent_id_malformed", "/intent_id"),
        ({"intent_type": "Content"}, "intent_type_malformed", "/intent_type"),
        ({"realm": "other"}, "realm_mismatch", "/realm"),
        ({"tenant_id": "ACME!"}, "tenant_not_found", "/tenant_id"),
        ({"session_id": ""}, "session_required", "/session_id"),
        ({"session_id": "ses-x"}, "session_not_found", "/session_id"),
        ({"session_id": "ses-4-" + "0" * 32}, "wrong_partition", "/session_id"),
        ({"payload": b"[1]"}, "payload_malformed", "/payload"),
        ({"payload": b"\xff"}, "payload_malformed", "/payload"),
        ({"payload": b"[" * 100_000}, "payload_malformed", "/payload"),
        ({"metadata": b"1"}, "metadata_malformed", "/metadata"),
        ({"solution_context": b"1"}, "solution_context_malformed", "/solution_context"),
        ({"payload": b"{}"}, "contract_violation", "/payload"),
    ],
)
def test_what_the_caller_can_cure_is_named(change: dict[str, Any], code: str, field: str) -> None:
    assert rejection(replace(STATED, **change)) == (code, field)


def test_what_is_not_known_is_named() -> None:
    assert rejection(tenant_exists=False)[0] == "tenant_not_found"
    assert rejection(session=None)[0] == "session_not_found"
    assert rejection(capability=None, contract=None)[0] == "capability_not_found"
    assert KNOWN.session is not None
    assert rejection(session=replace(KNOWN.session, closed_at=5))[0] == "session_closed"
    theirs = replace(KNOWN.session, tenant_id="other")
    assert rejection(session=theirs) == rejection(session=None)


def test_a_contract_that_is_no_schema_is_the_operators_matter() -> None:
    broken = Contracts().of(replace(CAPABILITY, input_contract=b'{"type": 7}'))
    *_, rejected = admit(STATED, replace(KNOWN, contract=broken))
    assert isinstance(rejected, e.IntentRejected)
    assert rejected.error.code == "contract_unusable"
    assert rejected.error.operator_action


def test_a_claim_checked_payload_is_the_workers_to_check() -> None:
    assert isinstance(admit(replace(INTENT, payload=b""), KNOWN)[-1], e.ExecutionStarted)


@pytest.mark.parametrize("same", [True, False])
def test_a_repeat_decides_nothing_new(same: bool) -> None:
    assert isinstance(STATE.body, ExecutionState)
    digest = sha256(STATED.payload).digest() if same else b"other"
    first = replace(STATE.body, payload_sha256=digest)
    assert admit(STATED, replace(KNOWN, execution=first)) == (e.IntentRepeated(same_payload=same),)


def test_a_suspended_tenant_is_refused_but_for_operators_and_what_its_executions_await() -> None:
    assert isinstance(STATE.body, ExecutionState)
    suspended = TenantState(session_id=SESSION, scope="acme", suspended=True)
    assert rejection(tenant=suspended) == ("tenant_suspended", "/tenant_id")
    operator = replace(STATED, roles=(PLATFORM_OPERATOR,))
    assert isinstance(admit(operator, replace(KNOWN, tenant=suspended))[-1], e.ExecutionStarted)
    name = ids.execution_id(STATED.tenant_id, STATED.session_id, STATED.intent_id, 3)
    child = Child(execution_id=name, step="main")
    parent = replace(
        STATE.body,
        status=ExecutionStatus.RUNNING,
        steps=(replace(STATE.body.steps[0], step="main", status=StepStatus.SUSPENDED),),
        children=(child,),
        cancel_reason=None,
        overdue=False,
        undo=False,
    )
    known = replace(KNOWN, tenant=suspended, parent=parent)
    assert isinstance(admit(STATED, known)[-1], e.ExecutionStarted)
    stranger = replace(known, parent=replace(parent, children=()))
    assert rejection(tenant=suspended, parent=stranger.parent)[0] == "tenant_suspended"


def control(action: str, payload: bytes) -> Any:
    """A control intent."""
    return replace(STATED, intent_type=f"runtime.{action}", realm="runtime", payload=payload)


def test_sessions_open_once_and_close_once() -> None:
    opening = control("open_session", b'{"attributes":{"a":1}}')
    received, _, opened, done = admit(opening, replace(KNOWN, session=None))
    assert isinstance(received, e.IntentReceived)
    assert opened == e.SessionOpened(principal="ann", attributes=b'{"a":1}')
    assert isinstance(done, e.ExecutionSucceeded)
    assert rejection(opening)[0] == "session_exists"
    assert rejection(control("open_session", b'{"attributes":1}'), session=None) == (
        "contract_violation",
        "/payload/attributes",
    )
    _, _, closed, _ = admit(control("close_session", b'{"reason":"done"}'), KNOWN)
    assert closed == e.SessionClosed(reason="done")
    assert rejection(control("close_session", b"{}"), session=None)[0] == "session_not_found"
    assert rejection(control("reboot", b"{}"))[0] == "capability_not_found"
