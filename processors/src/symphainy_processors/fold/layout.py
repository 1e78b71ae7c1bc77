"""How state lies in a store: one key a state, and the index keys that follow from it.

Index keys carry everything in the key, in the order in which they are read: numbers are 8 bytes,
big-endian; ids hold no NUL. They are never stored without the state that they follow from.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from symphainy_processors.fold.plans import OVER, is_undoing, realm_of
from symphainy_schemas.state import (
    ExecutionState,
    ExecutionStatus,
    SessionState,
    StepState,
    StepStatus,
    TenantState,
)

Body = ExecutionState | SessionState | TenantState

CHECKPOINT = b"c"
_EXECUTION, _SESSION = b"e", b"s"
EXPIRY = b"x"  # ended_at, closed_at: when the dedupe window began
OWN_EXPIRY = b"y"  # when a dedupe window of its own ends
OUTSTANDING = b"o"  # dispatched_at: what a worker may have
READY = b"q"  # realm, tenant, priority, ready_at: what waits for its turn
CALLED = b"k"  # where an intent was stated that may not stand in the write-ahead log yet
TIMER = b"t"  # due_at
LIVE = b"l"  # session: what runs in it
DEADLINE = ""  # stands where the step does, in the timer of an execution's deadline, or a session's
_NUL = b"\0"
_OUTSTANDING = frozenset({StepStatus.DISPATCHED, StepStatus.STARTED})
_IDLE = frozenset({StepStatus.SUSPENDED, StepStatus.HELD})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Body).decode


class StepKey(NamedTuple):
    """What an index key names."""

    number: int
    execution_id: str
    step: str


class LineKey(NamedTuple):
    """One queue of ready steps."""

    realm: str
    tenant_id: str
    priority: int


def state_key(name: str) -> bytes:
    """Where the state of an execution (exe-…) or a session (ses-…) lies."""
    return (_SESSION if is_session(name) else _EXECUTION) + name.encode()


def is_session(name: str) -> bool:
    """Whether it is the id of a session; else it is that of an execution."""
    return name.startswith("ses-")


STATES = (_EXECUTION, _EXECUTION + b"\xff"), (_SESSION, _SESSION + b"\xff")


def pack(body: Body) -> bytes:
    """A state's bytes in the store."""
    return _encode(body)


def unpack(value: bytes) -> Body:
    """The state in `value`."""
    body: Body = _decode(value)
    return body


def name_of(body: Body) -> str:
    """The id under which it is kept."""
    return body.execution_id if isinstance(body, ExecutionState) else body.session_id


def index_keys(body: Body | None) -> frozenset[bytes]:
    """The index keys that follow from a state."""
    if not isinstance(body, ExecutionState):
        return frozenset((*session_timer_keys(body), *_session_expiry_keys(body)))
    called = [_at(CALLED, offset, body.execution_id, "") for offset in body.called]
    if body.status.ended:
        return frozenset((_forgotten_key(body), *called))
    keys = called + [key for step in body.steps for key in _step_keys(body, step)]
    keys.append(live_prefix(body.session_id) + body.execution_id.encode())
    if deadline := deadline_of(body):
        keys.append(deadline_key(body, deadline))
    return frozenset(keys)


def changed_keys(before: Body | None, after: Body | None) -> list[tuple[bytes, bytes | None]]:
    """The index keys to write where one state takes the place of another; None removes."""
    old, new = index_keys(before), index_keys(after)
    return [*((key, None) for key in old - new), *((key, b"") for key in new - old)]


def is_live(body: Body | None) -> bool:
    """Whether it is an execution that has not ended."""
    return isinstance(body, ExecutionState) and not body.status.ended


def is_idle(body: Body | None) -> bool:
    """Whether it is a live execution that only a time or an intent can move: it waits, rests,
    or is stuck."""
    if not isinstance(body, ExecutionState):
        return False
    if body.status is ExecutionStatus.STUCK:
        return True
    idle = False
    for step in body.steps:  # that has ended has none
        if step.status in _IDLE:
            idle = True
        elif step.status not in OVER:
            return False
    return idle


def timer_keys(state: ExecutionState) -> list[bytes]:
    """Where it is found by its due times: those of its steps, and its deadline."""
    keys = [timer_key(state, step) for step in state.steps if step.due_at]
    if deadline := deadline_of(state):
        keys.append(deadline_key(state, deadline))
    return keys


def session_timer_keys(body: Body | None) -> list[bytes]:
    """Where a session is found when its time is over, or what runs in it is to be asked to end."""
    if not isinstance(body, SessionState):
        return []
    at = body.closed_at if body.closing else body.due_at
    return [_at(TIMER, at, body.session_id, DEADLINE)] if at else []


def _session_expiry_keys(body: Body | None) -> list[bytes]:
    if not isinstance(body, SessionState) or not is_over(body):
        return []
    return [expiry_key(body.closed_at, body.session_id)]


def is_over(session: SessionState) -> bool:
    """Whether it is closed, or has expired, and nothing is left to be asked to end for that."""
    return session.closed_at > 0 and not session.closing


def was_over(session: SessionState, at: int) -> bool:
    """Whether it was so before `at`, ms since the epoch."""
    return is_over(session) and session.closed_at < at


def live_prefix(session_id: str) -> bytes:
    """What the keys of all that runs in a session begin with; their ids follow."""
    return LIVE + session_id.encode() + _NUL


def timer_key(state: ExecutionState, step: StepState) -> bytes:
    """Where a step with a due time is found by it."""
    return _at(TIMER, step.due_at, state.execution_id, step.step)


def deadline_key(state: ExecutionState, deadline: int) -> bytes:
    """Where an execution is found by its deadline."""
    return _at(TIMER, deadline, state.execution_id, DEADLINE)


def deadline_of(state: ExecutionState) -> int:
    """When it has to have ended; 0 if it has no deadline, or that has passed or lost its sense."""
    if not state.deadline_at or state.to_end or state.status.ended or is_undoing(state):
        return 0
    return state.deadline_at


def ready_keys(body: Body, but: Body | None = None) -> list[bytes]:
    """The keys of its steps that wait for their turn, without those that `but`, another state of
    the same execution, shares: of a thousand, one decision changes few."""
    if not isinstance(body, ExecutionState):
        return []
    shared = {id(step) for step in but.steps} if isinstance(but, ExecutionState) else ()
    return [_ready_key(body, x) for x in body.steps if id(x) not in shared and is_ready(x)]


def _step_keys(state: ExecutionState, step: StepState) -> list[bytes]:
    keys = []
    if step.due_at:
        keys.append(timer_key(state, step))
    if step.status in _OUTSTANDING:
        keys.append(_at(OUTSTANDING, step.dispatched_at, state.execution_id, step.step))
    if is_ready(step):
        keys.append(_ready_key(state, step))
    return keys


def _ready_key(state: ExecutionState, step: StepState) -> bytes:
    line = LineKey(realm_of(state, step.step), state.tenant_id, state.priority)
    return _at(line_prefix(line), step.ready_at, state.execution_id, step.step)


def is_ready(step: StepState) -> bool:
    """Whether it waits for its turn."""
    return step.status is StepStatus.READY and step.ready_at >= 0


def expiry_key(ended_at: int, name: str) -> bytes:
    """Where an ended execution, or a session that is over, is found by the time of its end."""
    return EXPIRY + _number(ended_at) + name.encode()


def own_expiry_key(forgotten_at: int, execution_id: str) -> bytes:
    """Where an ended execution with a dedupe window of its own is found by the end of that."""
    return OWN_EXPIRY + _number(min(forgotten_at, 2**63)) + execution_id.encode()


def _forgotten_key(state: ExecutionState) -> bytes:
    if not state.dedupe_window_ms:
        return expiry_key(state.ended_at, state.execution_id)
    return own_expiry_key(state.ended_at + state.dedupe_window_ms, state.execution_id)


def read_expiry_key(key: bytes) -> str:
    """The id of the execution or session, of a key of either kind."""
    return key[9:].decode()


def line_prefix(line: LineKey) -> bytes:
    """What all ready steps of one queue begin with."""
    names = line.realm.encode() + _NUL + line.tenant_id.encode() + _NUL
    return READY + names + bytes((line.priority,))


def read_line(key: bytes) -> LineKey:
    """The queue of a ready step's key."""
    realm, tenant, rest = key[1:].split(_NUL, 2)
    return LineKey(realm.decode(), tenant.decode(), rest[0])


def place_key(prefix: bytes, place: tuple[int, str, str]) -> bytes:
    """Where (number, execution, step) stands under a prefix."""
    return _at(prefix, *place)


def read_place(prefix: bytes, key: bytes) -> StepKey:
    """What stands behind a prefix."""
    start = len(prefix)
    execution, step = key[start + 8 :].split(_NUL, 1)
    number = int.from_bytes(key[start : start + 8], "big")
    return StepKey(number, execution.decode(), step.decode())


def read_number(prefix: bytes, key: bytes) -> int:
    """The number behind a prefix."""
    return int.from_bytes(key[len(prefix) : len(prefix) + 8], "big")


def at_number(prefix: bytes, number: int) -> bytes:
    """The first key under `prefix` that may carry `number`."""
    return prefix + _number(number)


def behind(key: bytes) -> bytes:
    """The first key after `key`."""
    return key + _NUL


def end_of(prefix: bytes) -> bytes:
    """After every key that begins with `prefix` and a number."""
    return prefix + b"\xff" * 9


def _at(prefix: bytes, number: int, execution_id: str, step: str) -> bytes:
    return prefix + _number(number) + execution_id.encode() + _NUL + step.encode()


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")
