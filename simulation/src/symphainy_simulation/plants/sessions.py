"""Planted bugs around the lives of sessions."""

from __future__ import annotations

from typing import Any

from symphainy_processors.admission import decide as admission
from symphainy_processors.admission import sessions
from symphainy_processors.fold import partition as fold_partition
from symphainy_processors.fold.leaving import Leaving
from symphainy_processors.fold.worklist import Worklist
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.sessions import Sessions
from symphainy_schemas.events import PolicyValidated
from symphainy_simulation.plants.plant import Patch, Plant


def _takes_more(original: Any) -> Any:
    def session(intent: Any, known: Any, child: Any) -> Any:
        problem = original(intent, known, child)
        over = problem is not None and problem.code in ("session_closed", "session_expired")
        return None if over else problem

    return session


def _unused(original: Any) -> Any:
    return original - {PolicyValidated}


def _whenever(original: Any) -> Any:
    def decide(intent: Any, session: Any, now: int) -> Any:
        due_at = 0 if session is None else session.due_at
        return original(intent, session, max(now, due_at))

    return decide


def _asks_nobody(original: Any) -> Any:
    return lambda self, state, session: None


def _asks_always(original: Any) -> Any:
    return lambda stated, name: True


def _forgets(original: Any) -> Any:
    return lambda self, session, now: None


def _first_page(original: Any) -> Any:
    def running_in(self: Any, session_id: str, behind: str, limit: int) -> Any:
        found, _ = original(self, session_id, behind, 1)
        return found[:1], ""

    return running_in


def _only_flushed(original: Any) -> Any:
    def running_in(self: Any, *args: Any) -> Any:
        found, reached = original(self, *args)
        return [one for one in found if one.execution_id not in self._states.unflushed], reached

    return running_in


def _as_opened(original: Any) -> Any:
    def dispatches(self: Any, *args: Any) -> Any:
        return tuple((state, event, b"{}") for state, event, _ in original(self, *args))

    return dispatches


def _whatever(original: Any) -> Any:
    return lambda self, session, settled: True


def _with_what_runs(original: Any) -> Any:
    return lambda self, session_id: False


PLANTS = (
    Plant(
        "session-takes-more",
        "",
        "A session that is over takes intents.",
        (Patch(admission, "_session", _takes_more),),
    ),
    Plant(
        "session-unused",
        "",
        "What is stated in a session does not count as its use.",
        (Patch(fold_partition, "SESSION_EVENTS", _unused),),
    ),
    Plant(
        "session-expires-early",
        "",
        "A session expires whenever somebody says that it is over.",
        (Patch(sessions, "decide", _whenever),),
    ),
    Plant(
        "session-never-expires",
        "",
        "Nobody states that a session's time is over.",
        (Patch(Sessions, "due", _forgets),),
    ),
    Plant(
        "session-asks-nobody",
        "",
        "What runs in a session that is closed is not asked to end.",
        (Patch(Sessions, "_ask", _asks_nobody),),
    ),
    Plant(
        "session-asks-always",
        "",
        "What runs is asked to end although it was to go on.",
        (Patch(sessions, "_cancels", _asks_always),),
    ),
    Plant(
        "session-asks-one",
        "",
        "Of what runs in a session one is asked to end.",
        (Patch(Worklist, "running_in", _first_page),),
    ),
    Plant(
        "session-asks-the-flushed",
        "",
        "Of what runs in a session only what the store has is asked to end.",
        (Patch(Worklist, "running_in", _only_flushed),),
    ),
    Plant(
        "session-as-nobody-opened-it",
        "",
        "Tasks do not tell the attributes of their session.",
        (Patch(Ledger, "_dispatches", _as_opened),),
    ),
    Plant(
        "session-forgotten-in-use",
        "",
        "A session that is over leaves its dedupe window although something runs in it.",
        (
            Patch(Worklist, "runs_in", _with_what_runs),
            Patch(Leaving, "_has_live", _with_what_runs),
        ),
    ),
    Plant(
        "session-forgotten-anew",
        "",
        "A session that was opened again leaves with the one before.",
        (Patch(Leaving, "_is_over", _whatever),),
    ),
)
