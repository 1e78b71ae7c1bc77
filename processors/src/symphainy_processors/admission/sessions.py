"""Decide what is asked of a session: that it opens, changes, closes, or has had its time. Pure.

A session takes no intent once it is closed. What runs in it goes on then (drain), and may still
invoke and await others; or it is asked to end (`cancels`), which its owner does in bounded turns:
until that is done, the execution that closes it has not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from symphainy_runtime.policy.actions import (
    CHANGE_SESSION,
    CLOSE_SESSION,
    EXPIRE_SESSION,
    OPEN_SESSION,
)
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, Intent
from symphainy_schemas.state import SessionState

ATTRIBUTES_BYTES = 65_536
"""Attributes travel with each delivery of the session's executions."""
LONGEST_MS = 366 * 86_400_000
"""No session is to be idle, or to live, for longer than about a year."""
DRAIN, CANCEL = "drain", "cancel"
MODES = (DRAIN, CANCEL)
Events = tuple[e.Event, ...]


def no_session(intent: Intent) -> Error:
    """There is no such session, or none that is the caller's to know of."""
    return Error(
        code="session_not_found",
        message=f"There is no session {intent.session_id}.",
        field="/session_id",
        cure="Open one: POST /v1/sessions.",
    )


def problem_of(session: SessionState | None, intent: Intent) -> Error | None:
    """Why the intent's session cannot take it."""
    # Another tenant's session is answered like none, so that ids tell nothing.
    if session is None or session.tenant_id != intent.tenant_id:
        return no_session(intent)
    if not session.closed_at:
        return None
    return Error(
        code="session_expired" if session.expired else "session_closed",
        message=f"Session {intent.session_id} "
        + ("has expired." if session.expired else "is closed."),
        field="/session_id",
        cure="Open a new one: POST /v1/sessions.",
    )


def decide(intent: Intent, session: SessionState | None, now: int) -> Events:
    """What follows an intent about a session; `now` is journaled time, ms since the epoch."""
    if intent.payload_ref is not None:
        return _refused(_too_large())
    return _DECIDERS[intent.intent_type](intent, session, now)


def merged(attributes: bytes, patch: Mapping[str, Any]) -> bytes:
    """JSON attributes with a merge patch applied (RFC 7396): null removes a member."""
    return msgspec.json.encode(_merged(msgspec.json.decode(attributes), patch))


def _merged(value: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(value) if isinstance(value, dict) else {}
    for name, one in patch.items():
        if one is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), one) if isinstance(one, dict) else one
    return found


def _open(intent: Intent, session: SessionState | None, now: int) -> Events:
    if session is not None:
        return _refused(
            Error(
                code="session_exists",
                message="The session id is taken.",
                field="/session_id",
                cure="Make a new session id.",
            )
        )
    stated = msgspec.json.decode(intent.payload)
    attributes = _attributes(stated)
    if isinstance(attributes, Error):
        return _refused(attributes)
    for name in ("idle_ms", "lifetime_ms"):
        ms = stated.get(name, 0)
        if type(ms) is not int or not 0 <= ms <= LONGEST_MS:
            return _refused(
                _violation(
                    name,
                    f"{name} is not a whole number from 0 to {LONGEST_MS}.",
                    "Send milliseconds; 0 is never.",
                )
            )
    cancels = _cancels(stated, "at_expiry")
    if isinstance(cancels, Error):
        return _refused(cancels)
    opened = e.SessionOpened(
        principal=intent.principal,
        attributes=msgspec.json.encode(attributes),
        idle_ms=stated.get("idle_ms", 0),
        lifetime_ms=stated.get("lifetime_ms", 0),
        cancels=cancels,
    )
    return (opened, e.ExecutionSucceeded())


def _change(intent: Intent, session: SessionState | None, now: int) -> Events:
    problem = problem_of(session, intent)
    if problem is not None:
        return _refused(problem)
    assert session is not None
    patch = _attributes(msgspec.json.decode(intent.payload))
    if isinstance(patch, Error):
        return _refused(patch)
    attributes = merged(session.attributes, patch)
    if len(attributes) > ATTRIBUTES_BYTES:
        return _refused(_too_large())
    changed = e.SessionChanged(attributes=attributes, principal=intent.principal)
    return (changed, e.ExecutionSucceeded())


def _close(intent: Intent, session: SessionState | None, now: int) -> Events:
    problem = problem_of(session, intent)
    if problem is not None:
        return _refused(problem)
    stated = msgspec.json.decode(intent.payload)
    cancels = _cancels(stated, "mode")
    if isinstance(cancels, Error):
        return _refused(cancels)
    reason = stated.get("reason", "")
    closed = e.SessionClosed(reason=reason if isinstance(reason, str) else "", cancels=cancels)
    return (closed,) if cancels else (closed, e.ExecutionSucceeded())


def _expire(intent: Intent, session: SessionState | None, now: int) -> Events:
    """Stated by the session's owner when its time comes; what was stated before is decided by
    then, and may have put that off. Whoever else states it learns whether it is due, no more."""
    problem = problem_of(session, intent)
    if problem is not None:
        return _refused(problem)
    assert session is not None
    due_at = session.due_at
    if not due_at or now < due_at:
        return _refused(
            Error(
                code="session_not_due",
                message=f"The time of session {intent.session_id} is not over.",
                field="/session_id",
                cure="Close it: DELETE /v1/sessions/{id}.",
            )
        )
    expired = e.SessionExpired(
        due_at=due_at, idle=due_at != session.expires_at, cancels=session.cancels
    )
    return (expired,) if session.cancels else (expired, e.ExecutionSucceeded())


_DECIDERS: Mapping[str, Callable[[Intent, SessionState | None, int], Events]] = {
    OPEN_SESSION: _open,
    CHANGE_SESSION: _change,
    CLOSE_SESSION: _close,
    EXPIRE_SESSION: _expire,
}


def _attributes(stated: Any) -> dict[str, Any] | Error:
    attributes = stated.get("attributes", {})
    if not isinstance(attributes, dict):
        return _violation(
            "attributes",
            "Session attributes are not a JSON object.",
            "Send an object, or leave it out.",
        )
    if len(msgspec.json.encode(attributes)) > ATTRIBUTES_BYTES:
        return _too_large()
    return attributes


def _cancels(stated: Any, name: str) -> bool | Error:
    mode = stated.get(name, DRAIN)
    if mode in MODES:
        return bool(mode == CANCEL)
    return _violation(
        name,
        f"{name} is neither {DRAIN} nor {CANCEL}.",
        f"{DRAIN}: what runs goes on; {CANCEL}: it is asked to end.",
    )


def _too_large() -> Error:
    return _violation(
        "attributes",
        f"A session's attributes take at most {ATTRIBUTES_BYTES} bytes.",
        "Store large data as an artifact and keep its reference.",
    )


def _violation(name: str, message: str, cure: str) -> Error:
    return Error(code="contract_violation", message=message, field=f"/payload/{name}", cure=cure)


def _refused(error: Error) -> Events:
    return (e.IntentRejected(error=error),)
