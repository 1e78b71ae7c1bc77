"""Decide what the runtime's own intents ask of an execution. Pure.

What is asked of an execution is decided in two records, its own first (rule 6): a successor that
finds only that one decides the intent again, and `controlled_at` tells it what has been applied. A
replay asks nothing of the execution, and has a record of its own alone (ADR 17).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from symphainy_runtime.policy.actions import (
    CANCEL,
    COMPENSATE,
    PAUSE,
    REPLAY,
    REPLAY_MODES,
    RESUME,
    RETRY_STEP,
    SESSIONS,
    SIGNAL,
)
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Error, Intent
from symphainy_schemas.state import ExecutionState

_OWN_REALM = "runtime"
NAME_LIMIT = 200
REASON_LIMIT = 2_000
# A signal becomes a checkpoint of whoever waits for it, and those travel together.
DATA_BYTES = 65_536
_AS_OF = ("at_offset", "at")
_TOLD = ("execution_id", "mode", *_AS_OF)
"""What the record of a replay shows of it."""
Events = tuple[e.Event, ...]
Request = (
    e.SignalReceived
    | e.CancelRequested
    | e.ExecutionPaused
    | e.ExecutionResumed
    | e.StepRetryRequested
    | e.CompensationRequested
)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a control intent asks of an execution; None if it only wants to read."""

    execution_id: str
    event: Request | None


class Target(msgspec.Struct, frozen=True, gc=False):
    """The execution of which something is asked.

    `applied`: that has been done, or it is nothing. `room`: it can keep one more signal. `problem`:
    why not else.
    """

    state: ExecutionState
    event: Request | None
    applied: bool
    room: bool
    problem: Error | None = None


def asked_by(intent: Intent) -> Asked | None:
    """What the intent asks of an execution; None if nothing, or nothing that can be read."""
    read = _READERS.get(intent.intent_type)
    if read is None or intent.payload_ref is not None:
        return None
    try:
        asked = read(intent)
    except (AttributeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # admission says what is wrong with it
    return asked if isinstance(asked, Asked) else None


def accepted(events: Events) -> bool:
    """Whether the control intent was."""
    return isinstance(events[-1], e.ExecutionSucceeded)


def decide(intent: Intent, target: Target | None) -> Events:
    """What follows the intent's IntentReceived."""
    if intent.intent_type == REPLAY:
        return _replayed(intent, target)
    read = _READERS.get(intent.intent_type)
    if read is not None:
        problem = _asked(intent, read, target)
        return (e.ExecutionSucceeded(),) if problem is None else (e.IntentRejected(error=problem),)
    error = Error(
        code="capability_not_found",
        message=f"The runtime has no control intent {intent.intent_type}.",
        field="/intent_type",
        cure=f"Known: {', '.join((*sorted(SESSIONS), *_READERS))}.",
    )
    return (e.IntentRejected(error=error),)


def _read_signal(intent: Intent) -> Asked | Error:
    """What a signal's payload says, or what is wrong with it."""
    stated: Any = msgspec.json.decode(intent.payload)
    execution_id, name = stated.get("execution_id"), stated.get("name")
    if not isinstance(execution_id, str):
        return _nobody("signal")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        return violation(
            "/payload/name", f"A signal's name is 1 to {NAME_LIMIT} printable characters."
        )
    if ids.is_execution_id(name):
        return violation(
            "/payload/name", "What begins exe- tells of the end of an execution; use another name."
        )
    data = msgspec.json.encode(stated.get("data"))
    if len(data) > DATA_BYTES:
        return violation("/payload/data", f"A signal's data takes at most {DATA_BYTES} bytes.")
    return Asked(execution_id, e.SignalReceived(name, data, intent.principal))


def _with_reason(
    what: str,
    event: type[
        e.CancelRequested | e.ExecutionPaused | e.ExecutionResumed | e.CompensationRequested
    ],
) -> Callable[[Intent], Asked | Error]:
    """Reads who asks for `what`, and why, or what is wrong with it."""

    def read(intent: Intent) -> Asked | Error:
        stated: Any = msgspec.json.decode(intent.payload)
        execution_id, reason = stated.get("execution_id"), stated.get("reason", "")
        if not isinstance(execution_id, str):
            return _nobody(what)
        if (problem := reason_problem(reason)) is not None:
            return problem
        return Asked(execution_id, event(reason=reason, principal=intent.principal))

    return read


def _read_retry(intent: Intent) -> Asked | Error:
    """Which step is to be tried again, and with what, or what is wrong with that."""
    asked = _with_reason("retry", e.CancelRequested)(intent)
    if isinstance(asked, Error):
        return asked
    stated: Any = msgspec.json.decode(intent.payload)
    step, changed = stated.get("step"), stated.get("input")
    if not isinstance(step, str) or not 0 < len(step) <= NAME_LIMIT:
        return violation("/payload/step", "A retry names the step that is to be tried again.")
    if changed is not None and not isinstance(changed, dict):
        return violation("/payload/input", "A step's input is a JSON object.")
    given = None if changed is None else msgspec.json.encode(changed)
    if given is not None and len(given) > DATA_BYTES:
        return violation("/payload/input", f"A step's input takes at most {DATA_BYTES} bytes.")
    reason = stated.get("reason", "")
    retry = e.StepRetryRequested(step=step, input=given, reason=reason, principal=intent.principal)
    return Asked(asked.execution_id, retry)


def _read_replay(intent: Intent) -> Asked | Error:
    """Which execution is to be replayed, or what is wrong with what is said of that."""
    stated: Any = msgspec.json.decode(intent.payload)
    execution_id, mode = stated.get("execution_id"), stated.get("mode")
    if not isinstance(execution_id, str) or not ids.is_execution_id(execution_id):
        return _nobody("replay")
    if mode not in REPLAY_MODES:
        return violation("/payload/mode", f"A replay's mode is one of {', '.join(REPLAY_MODES)}.")
    for name in _AS_OF:
        moment = stated.get(name)
        if moment is not None and (type(moment) is not int or not 0 <= moment < 1 << 63):
            return violation(f"/payload/{name}", f"{name} is a whole number from 0.")
    return Asked(execution_id, None)


_READERS: Mapping[str, Callable[[Intent], Asked | Error]] = {
    SIGNAL: _read_signal,
    CANCEL: _with_reason("cancellation", e.CancelRequested),
    PAUSE: _with_reason("pause", e.ExecutionPaused),
    RESUME: _with_reason("resumption", e.ExecutionResumed),
    COMPENSATE: _with_reason("compensation", e.CompensationRequested),
    RETRY_STEP: _read_retry,
    REPLAY: _read_replay,
}


def _asked(
    intent: Intent, read: Callable[[Intent], Asked | Error], target: Target | None
) -> Error | None:
    """Why it cannot be done. A closed session does not matter: its executions run on."""
    if intent.payload_ref is not None:
        return violation("/payload", f"It takes at most {DATA_BYTES} bytes.")
    asked = read(intent)
    if isinstance(asked, Error):
        return asked
    if target is None or not _is_here(intent, target):
        return _not_found(asked)
    if target.state.realm == _OWN_REALM:  # closes a session, and has not asked everybody yet
        return violation("/payload/execution_id", "What the runtime does itself, it ends itself.")
    if target.applied:
        return None
    if target.state.status.ended:
        return Error(
            code="execution_ended",
            message=f"Execution {asked.execution_id} has ended: {target.state.status}.",
            field="/payload/execution_id",
        )
    if target.problem is not None:
        return target.problem
    if not target.room:
        return Error(
            code="too_many_signals",
            message=f"Execution {asked.execution_id} keeps as many signals as it can.",
            field="/payload/execution_id",
            cure="Wait until its handler has taken some.",
        )
    return None


def _replayed(intent: Intent, target: Target | None) -> Events:
    """That it may be, with what was asked for; or why not. It may have ended, and may be forgotten
    here, which the journal itself is not: then nothing of it is known to speak against it."""
    if intent.payload_ref is not None:
        return (e.IntentRejected(error=violation("/payload", "A replay is stated inline.")),)
    asked = _read_replay(intent)
    if isinstance(asked, Error):
        return (e.IntentRejected(error=asked),)
    apart = ids.partition_of(asked.execution_id) != ids.partition_of(intent.session_id)
    if apart or (target is not None and not _is_here(intent, target)):
        return (e.IntentRejected(error=_not_found(asked)),)
    stated: Any = msgspec.json.decode(intent.payload)
    told = {name: stated[name] for name in _TOLD if stated.get(name) is not None}
    return (e.ExecutionSucceeded(result=msgspec.json.encode(told)),)


def _is_here(intent: Intent, target: Target) -> bool:
    state = target.state
    return (state.tenant_id, state.session_id) == (intent.tenant_id, intent.session_id)


def _not_found(asked: Asked) -> Error:
    return Error(
        code="execution_not_found",
        message=f"There is no execution {asked.execution_id[:80]} in this session.",
        field="/payload/execution_id",
        cure="Use the id that the submission returned, and its session.",
    )


def _nobody(what: str) -> Error:
    return violation("/payload/execution_id", f"A {what} names its execution.")


def reason_problem(reason: Any) -> Error | None:
    """What is wrong with a stated reason."""
    if isinstance(reason, str) and len(reason) <= REASON_LIMIT:
        return None
    return violation("/payload/reason", f"A reason is text of at most {REASON_LIMIT} characters.")


def violation(field: str, message: str, cure: str = "") -> Error:
    """What is asked does not keep the contract of its control intent."""
    return Error(code="contract_violation", message=message, field=field, cure=cure)
