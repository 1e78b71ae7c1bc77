"""The verbs of `symphainy …`: known by name and help here, imported when one is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from symphainy_cli.lazily import load


class Verb(NamedTuple):
    """A verb's first line of help, and the module here whose `register` adds the verb to an app."""

    module: str
    help: str


VERBS: Mapping[str, Verb] = {
    "dev": Verb("dev", "Start the whole system on this machine and keep it running until Ctrl-C."),
    "demo": Verb(
        "dev",
        "Start the system (or use a running one), run real intents, show what happened, stop.",
    ),
    "up": Verb("up", "Run one role in the foreground until SIGTERM or Ctrl-C."),
    "services": Verb(
        "services", "Run only Kafka and Valkey, in the foreground until SIGTERM or Ctrl-C."
    ),
    "worker": Verb(
        "worker", "Run a realm's handlers until SIGTERM or Ctrl-C; running ones are drained."
    ),
    "submit": Verb(
        "executions",
        "Submit an intent and show its result. Exits 1 if it ended without success, or is stuck.",
    ),
    "watch": Verb("executions", "Follow an execution's events until it ends."),
    "signal": Verb(
        "executions", "Send an execution a signal; it is kept until its handler waits for it."
    ),
    "cancel": Verb(
        "executions",
        "Ask for an execution's end: nothing of it begins any more; what runs may still succeed.",
    ),
    "pause": Verb(
        "executions",
        "Let an execution rest: what runs goes on, and nothing more of it begins until `resume`.",
    ),
    "resume": Verb("executions", "Let an execution that rests go on, where it stands."),
    "saga": Verb("sagas", "Executions step by step, and what an operator asks of them."),
    "bulk": Verb("bulk", "Ask the same of many executions, chosen as a listing chooses them."),
    "doctor": Verb(
        "doctor",
        "Print every setting with its source, then try everything. Exits 1 if something is wrong.",
    ),
    "executions": Verb("executions", "Executions."),
    "session": Verb("sessions", "Sessions: what intents are stated in."),
    "capability": Verb("capabilities", "Capabilities."),
    "topics": Verb("topics", "Kafka's topics."),
    "wal": Verb("wal", "The write-ahead log and the journal."),
    "replay": Verb("replays", "Replays: what was, and whether today's code would do the same."),
    "audit": Verb("audit", "Evidence: signed checkpoints of the journal, and what they prove."),
    "key": Verb("keys", "API keys."),
    "policy": Verb("policies", "Policies: which intents may be."),
    "tenant": Verb("tenants", "Tenants and their limits."),
    "redrive": Verb(
        "redrive",
        "State failed, rejected or dead-lettered work again, as new intents that name the old.",
    ),
    "offsets": Verb("offsets", "How far each role has come; moving what may be."),
    "recover": Verb(
        "recover",
        "Rebuild from Kafka what Redis and local disks held: owners' state, read model, quotas.",
    ),
    "read-model": Verb("read_model", "The read model in Redis."),
}


class Verbs(TyperGroup):
    """Lists stand-ins; whatever is done with a verb, completion too, is done with the real one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The verb that `args` begin with, imported, and what follows it."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and imported(known.name or ""), rest


def add_verbs(app: typer.Typer) -> None:
    """Add every verb to `app`, whose class is `Verbs`."""
    for name, verb in VERBS.items():
        app.command(name, help=verb.help)(_stand_in)


def imported(name: str) -> Any:
    """The real command or group of a verb, as typer makes it."""
    holder = typer.Typer(rich_markup_mode="rich")
    load(VERBS[name].module).register(holder)
    return get_group(holder).commands[name]


def _stand_in() -> None:
    """Listed in a verb's place, never run."""
