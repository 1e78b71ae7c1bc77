"""What a shadow replay tells, for people."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

from symphainy_cli.output import out, show_table
from symphainy_cli.replay_output import text


def show_summary(document: dict[str, Any]) -> None:
    """How many of what, and the first that are not as recorded."""
    show_table(
        ("execution", "type", "verdict", "step", "why", "first difference"),
        [_row(one) for one in document["examples"]],
        "Not as recorded",
    )
    names = ("equal", "different", "failed", "undetermined", "slower")
    told = ", ".join(f"{document[name]} {name}" for name in names)
    running = f"; {document['running']} had not ended" if document["running"] else ""
    out.print(
        f"{document['executions']} executions: {told}{running}; all in {document['results']}",
        highlight=False,
        soft_wrap=True,
    )


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    step = next(step for step in one["steps"] if step["verdict"] == one["verdict"])
    shown = ""
    if step["differences"]:
        first = step["differences"][0]
        told = f"{text(first['recorded'])} → {text(first['replayed'])}"
        shown = f"{first['field'] or '/'}: {told}"
    return (
        one["execution_id"],
        one["intent_type"],
        one["verdict"],
        step["step"],
        escape(step["why"]),
        escape(shown),
    )
