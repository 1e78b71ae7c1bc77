"""What replays tell, for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.markup import escape

from symphainy_cli.output import out, show_json, show_table

_TIMES = frozenset({"started_at", "ended_at", "created_at", "deadline_at", "due_at"})
_SHOWN = 140


def show_events(document: dict[str, Any]) -> None:
    """The audit trail."""
    show_table(
        ("offset", "term/seq", "time", "event", "what", "record's SHA-256"),
        [
            (
                one["offset"],
                f"{one['term']}/{one['seq']}",
                time(one["at"]),
                one["type"],
                brief(one["data"]),
                one["record_sha256"][:16],
            )
            for one in document["events"]
        ],
        f"{document['execution_id']}: {document['records']} records of partition "
        f"{document['partition']}",
    )


def show_state(document: dict[str, Any]) -> None:
    """The state as of then, and the last known good."""
    out.print(f"[bold]{document['execution_id']}[/]", highlight=False)
    _where("as of", document["as_of"], "" if document["newest"] else "; more was recorded since")
    _members(document["state"])
    good = document["last_known_good"]
    if good is None:
        out.print("last known good    never: it had gone wrong from its first record on")
    elif good["offset"] == document["as_of"]["offset"]:
        out.print("last known good    this state: nothing of it has gone wrong")
    else:
        _where("last known good", good, "")
        _members(good["state"])


def _where(what: str, at: dict[str, Any], more: str) -> None:
    out.print(
        f"{what:18} offset {at['offset']}, {time(at['at'])} (term {at['term']}, seq {at['seq']})"
        f"{more}",
        highlight=False,
        soft_wrap=True,
    )


def _members(state: dict[str, Any]) -> None:
    for name, value in state.items():
        if value in (None, "", [], {}, 0, -1, False):
            continue
        if name == "steps":
            for step in value:
                told = {k: v for k, v in step.items() if v not in (None, "", [], 0, -1, False)}
                out.print(f"  step {step['step']:13} {escape(text(told))}", soft_wrap=True)
            continue
        shown = time(value) if name in _TIMES else text(value)
        out.print(f"  {name:18} {escape(shown)}", highlight=False, soft_wrap=True)


def text(value: Any) -> str:
    """A value in one line."""
    told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return told if len(told) <= _SHOWN else told[: _SHOWN - 1] + "…"


def brief(data: dict[str, Any]) -> str:
    """An event's members in a few words."""
    told = [f"{k}={v}" for k, v in data.items() if isinstance(v, str | int) and v not in ("", -1)]
    return escape(" ".join(told)[:_SHOWN])


def time(ms: int) -> str:
    """Journaled time, UTC."""
    moment = datetime.fromtimestamp(ms / 1_000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1_000:03}Z"


def show_event(one: dict[str, Any]) -> None:
    """An event in a line."""
    out.print(
        f"[dim]{one['partition']}/{one['offset']}[/] {time(one['at'])} [bold]{one['type']:22}[/] "
        f"{one['execution_id']} [dim]{brief(one['data'])}[/]",
        highlight=False,
        soft_wrap=True,
    )


def show_many_events(document: dict[str, Any], json: bool) -> None:
    """A session's audit trail."""
    if json:
        show_json(document)
        return
    for one in document["events"]:
        show_event(one)


def show_session(document: dict[str, Any], json: bool) -> None:
    """A session's state and its executions'."""
    if json:
        show_json(document)
        return
    out.print(f"[bold]{document['session_id']}[/]", highlight=False)
    _members(document["state"] or {})
    _executions([one["state"] for one in document["executions"]])


def show_states(document: dict[str, Any], json: bool) -> None:
    """What a range of offsets leads to."""
    if json:
        show_json(document)
        return
    _executions([one["state"] for one in document["executions"]])


def _executions(states: list[dict[str, Any]]) -> None:
    show_table(
        ("execution", "type", "status", "started", "ended"),
        [
            (
                one["execution_id"],
                one["intent_type"],
                one["status"],
                time(one["started_at"]),
                time(one["ended_at"]) if one["ended_at"] else "",
            )
            for one in states
        ],
    )


def show_full(document: dict[str, Any]) -> None:
    """What came of handlers that were run again."""
    for one in document["executions"]:
        told = f"{one['execution_id']} {one['intent_type']}: {one['verdict']}"
        out.print(f"[bold]{told}[/]", highlight=False, soft_wrap=True)
        for step in one["steps"]:
            why = f": {step['why']}" if step["why"] else ""
            out.print(f"  step {step['step']} {step['verdict']}{escape(why)}", soft_wrap=True)
            for difference in step["differences"]:
                out.print(
                    f"    {difference['field'] or '/'}: recorded {text(difference['recorded'])}, "
                    f"replayed {text(difference['replayed'])}",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )
    counts = (document[name] for name in ("equal", "different", "failed", "undetermined"))
    out.print("{} equal, {} different, {} failed, {} undetermined".format(*counts))
