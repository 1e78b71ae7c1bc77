"""A state's digest: the same for the same state, whether it was folded, stored or read."""

from __future__ import annotations

from msgspec.structs import replace
from tests.samples import EVENTS, JOURNAL, STATE

from symphainy_processors.fold import layout
from symphainy_processors.fold.evolve import evolve_execution
from symphainy_schemas import events as e
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.state import ExecutionState, SessionState, State, digest


def folded(*kinds: type[e.Event]) -> ExecutionState:
    """What those events of the samples make of an execution."""
    found: ExecutionState | None = None
    for kind in kinds:
        event = next(one for one in EVENTS if isinstance(one, kind))
        found = evolve_execution(found, JOURNAL, 5, event)
    assert found is not None
    return found


def test_a_state_that_was_read_has_the_digest_of_the_fold() -> None:
    """What has its default there is the default itself, and is a copy where it was read."""
    states: list[ExecutionState | SessionState] = [
        folded(e.IntentReceived, e.IntentRejected),
        folded(e.IntentReceived, e.CapabilityResolved, e.ExecutionStarted),
        SessionState(session_id="s", tenant_id="t", principal="p", attributes=b"{}", opened_at=1),
    ]
    for state in states:
        row = decode(encode(replace(STATE, body=state)), State).body
        stored = layout.unpack(layout.pack(state))
        assert digest(row) == digest(stored) == digest(state)


def test_another_state_has_another() -> None:
    state = folded(e.IntentReceived, e.IntentRejected)
    others = [
        replace(state, backoff_factor=1.5),
        replace(state, roles=("a", "b")),
        replace(state, roles=("ab",)),
        replace(state, payload=b"x"),
    ]
    assert len({digest(one) for one in (state, *others)}) == 5
