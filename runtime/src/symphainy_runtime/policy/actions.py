"""The runtime's own intents: what policies call them, beside the intent types of realms."""

from __future__ import annotations

OPEN_SESSION = "runtime.open_session"
CHANGE_SESSION = "runtime.change_session"
CLOSE_SESSION = "runtime.close_session"
EXPIRE_SESSION = "runtime.expire_session"
SIGNAL = "runtime.signal"
CANCEL = "runtime.cancel"
PAUSE = "runtime.pause"
RESUME = "runtime.resume"
RETRY_STEP = "runtime.retry_step"
COMPENSATE = "runtime.compensate"
REPLAY = "runtime.replay"
ACTIVATE_POLICY = "runtime.activate_policy"
SUSPEND_TENANT = "runtime.suspend_tenant"
RESUME_TENANT = "runtime.resume_tenant"
REVOKE_KEY = "runtime.revoke_key"

SESSIONS = frozenset({OPEN_SESSION, CHANGE_SESSION, CLOSE_SESSION})
CONTROLS = frozenset({SIGNAL, CANCEL, PAUSE, RESUME, RETRY_STEP, COMPENSATE, REPLAY})
GOVERNANCE = frozenset({ACTIVATE_POLICY, SUSPEND_TENANT, RESUME_TENANT, REVOKE_KEY})
"""What stands in every partition of the write-ahead log, so that what is in force is a function of
the offset (rule 8 of the journal protocol)."""
OWN = SESSIONS | CONTROLS | GOVERNANCE
"""Of which policy is asked. Not of EXPIRE_SESSION: when a session expires was decided when it was
opened, and its owner only states that the time has come."""

VALIDATE = "validate"
REPLAY_MODES = ("events_only", "state_only", "full", VALIDATE)
"""What REPLAY asks for, as policies see it in `context.mode`. A validation reads the same."""


def realm_of(action: str) -> str:
    """The group of actions to which one belongs."""
    return action.split(".", 1)[0]
