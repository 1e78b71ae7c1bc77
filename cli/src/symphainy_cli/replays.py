"""`symphainy replay …`: what was, read back from the journal; nothing live is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from symphainy_cli.asking import Execution
from symphainy_cli.backtest_options import moment
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, show_json, show_line
from symphainy_cli.progress import progress_after_a_second
from symphainy_cli.replay_full import ended, run_full
from symphainy_cli.replay_many import (
    Range,
    of_tenant,
    range_of,
    range_states,
    session_events,
    session_of,
    session_state,
)
from symphainy_cli.replay_output import (
    show_event,
    show_events,
    show_many_events,
    show_session,
    show_state,
    show_states,
)
from symphainy_cli.shadow import add_to
from symphainy_processors.replay.collecting import Left, Wanted, collect
from symphainy_processors.replay.documents import events
from symphainy_processors.replay.history import At, History
from symphainy_processors.replay.reading import JournalReader, places
from symphainy_processors.replay.service import (
    EVENTS_ONLY,
    FULL,
    MODES,
    STATE_ONLY,
    Replayer,
    answer,
)
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_transport.clock import SystemClock

app = typer.Typer(
    help="Replays: what was, and whether today's code would do the same.", no_args_is_help=True
)
add_to(app)
Mode = Annotated[
    str,
    typer.Option(
        help="events_only: the audit trail; state_only: the state as of then; full: the handlers "
        "run again, in isolation."
    ),
]
AtOffset = Annotated[
    int | None, typer.Option("--at-offset", help="As of this journal offset.", min=0)
]
AtTime = Annotated[
    str, typer.Option("--at", help="As of this journaled time: 30m, 12h, 7d ago, or ISO 8601.")
]


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="replay")


Handlers = Annotated[
    list[str],
    typer.Option("--handlers", help="The code of a full replay: module:realm; repeatable."),
]
Scratch = Annotated[
    Path | None,
    typer.Option(help="Where a full replay's artifacts go; by default a folder that is removed."),
]
FromOffset = Annotated[
    int | None, typer.Option("--from-offset", help="From this journal offset on.", min=0)
]
ToOffset = Annotated[int | None, typer.Option("--to-offset", help="Up to before it.", min=0)]
Since = Annotated[str, typer.Option(help="From here on: 7d, 12h, 30m, or ISO 8601.")]
Until = Annotated[str, typer.Option(help="Up to here, likewise.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant.")]


@app.command()
def execution(
    execution: Execution,
    mode: Mode = "state_only",
    at_offset: AtOffset = None,
    at: AtTime = "",
    handlers: Handlers = [],  # noqa: B006  (typer reads the default, nobody changes it)
    scratch: Scratch = None,
    json: Json = False,
) -> None:
    """Show what was of an execution: its events, its state as of any moment; or run it again.

    A full replay runs the handlers that are named in a process of its own: recorded steps, sleeps,
    signals and invocations are answered from the journal, artifacts go to a scratch folder, and
    what reaches outside is refused. It exits 3 if what they return is not what was recorded.
    """
    asked = asked_at(at_offset, at)
    check_mode(mode, handlers, asked)
    settings = kafka_settings()
    found = history_of(settings, execution, asked)
    if mode == FULL:
        run_full(settings, [found], handlers, scratch, json)
    else:
        show(answer(found, mode, asked), json)


@app.command()
def saga(
    execution: Execution,
    mode: Mode = "state_only",
    at_offset: AtOffset = None,
    at: AtTime = "",
    handlers: Handlers = [],  # noqa: B006  (as above)
    scratch: Scratch = None,
    json: Json = False,
) -> None:
    """The same of an execution with a plan: every step's handler, and what undoes them."""
    asked = asked_at(at_offset, at)
    check_mode(mode, handlers, asked)
    settings = kafka_settings()
    found = history_of(settings, execution, asked)
    if not any(moment.state.plan for moment in found.moments()):
        raise CallerError(
            f"Execution {execution} has no plan: one handler answers it.",
            code="no_saga",
            field="EXECUTION",
            cure="Use symphainy replay execution.",
        )
    if mode == FULL:
        run_full(settings, [found], handlers, scratch, json)
    else:
        show(answer(found, mode, asked), json)


@app.command()
def session(
    session: Annotated[str, typer.Argument(help="ses-<partition>-<32 hex>")],
    mode: Mode = "state_only",
    at_offset: AtOffset = None,
    at: AtTime = "",
    handlers: Handlers = [],  # noqa: B006  (as above)
    scratch: Scratch = None,
    json: Json = False,
) -> None:
    """The same of a session: its own events and states, and those of all its executions."""
    asked = asked_at(at_offset, at)
    check_mode(mode, handlers, asked)
    settings = kafka_settings()
    found = session_of(settings, session, asked)
    if mode == FULL:
        run_full(settings, ended(found.executions), handlers, scratch, json)
    elif mode == EVENTS_ONLY:
        show_many_events(session_events(found), json)
    else:
        show_session(session_state(found, asked), json)


@app.command("range")
def range_(
    partition: Annotated[int, typer.Option(help="Of the journal.", min=0)],
    mode: Mode = "events_only",
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    since: Since = "",
    until: Until = "",
    tenant: Tenant = "",
    handlers: Handlers = [],  # noqa: B006  (as above)
    scratch: Scratch = None,
    json: Json = False,
) -> None:
    """The same of a range of a partition's offsets.

    events_only: every event of it, a line each; state_only: each execution that it tells of, as of
    its end; full: the executions that were admitted in it and have ended, run again.
    """
    check_mode(mode, handlers, At())
    settings = kafka_settings()
    reader = JournalReader(settings)
    try:
        asked = Range(partition, from_offset, to_offset, since, until)
        start, end = range_of(settings, reader, asked)
        if mode == FULL:
            left = Left()
            wanted = Wanted(partition=partition, start=start, end=end, tenant_id=tenant)
            with progress_after_a_second("reading", end - start) as progress:
                found = list(collect(reader, wanted, left, progress))
            run_full(settings, found, handlers, scratch, json)
        elif mode == EVENTS_ONLY:
            for kept in reader.scan(partition, start, end, of_tenant(tenant)):
                for document in events(partition, [kept]):
                    show_line(document) if json else show_event(document)
        else:
            show_states(range_states(reader, partition, (start, end), tenant), json)
    finally:
        reader.close()


def show(document: dict[str, Any], json: bool) -> None:
    """A replay that called no handler."""
    if json:
        show_json(document)
    elif document["mode"] == EVENTS_ONLY:
        show_events(document)
    else:
        show_state(document)


def check_mode(mode: str, handlers: Sequence[str], asked: At) -> None:
    """Raises `CallerError` for what is no mode, and for what does not go with it."""
    if mode not in MODES:
        raise CallerError(
            f"There is no mode {mode!r}.",
            code="unknown_mode",
            field="--mode",
            cure=f"Use {EVENTS_ONLY}, {STATE_ONLY} or {FULL}.",
        )
    if (mode == FULL) != bool(handlers):
        what = "needs the code that it runs" if mode == FULL else "calls no handler"
        raise CallerError(
            f"A replay of mode {mode} {what}.",
            code="no_handlers" if mode == FULL else "malformed_option",
            field="--handlers",
            cure="State --mode full together with --handlers module:realm.",
        )
    if mode == FULL and asked != At():
        raise CallerError(
            "A full replay runs an execution to its end.",
            code="malformed_option",
            field="--at-offset",
            cure="Leave --at-offset and --at out, or use another mode.",
        )


def asked_at(at_offset: int | None, at: str) -> At:
    """As of when.

    Raises:
        CallerError: both are stated, or the time is none.
    """
    if at_offset is not None and at:
        raise CallerError(
            "A replay is as of an offset or as of a time.",
            code="malformed_option",
            field="--at",
            cure="State --at-offset or --at, not both.",
        )
    at_ms = moment("--at", at, SystemClock().now_ms()) if at else None
    return At(offset=at_offset, at=at_ms)


def history_of(settings: RuntimeSettings, execution_id: str, asked: At) -> History:
    """An execution's records: by the read model's places where it knows them, and what stands
    behind; else looked for in the whole partition, with a progress bar.

    Raises:
        CallerError: there is none, it is no longer kept, or the offset is not in the journal.
        Unavailable: Kafka did not answer.
    """
    if not ids.is_execution_id(execution_id):
        raise CallerError(
            f"{execution_id[:80]!r} is no execution's id.",
            code="execution_not_found",
            field="EXECUTION",
            cure="Use it as it was returned: exe-<partition>-<32 hex>.",
        )
    partition = ids.partition_of(execution_id)
    if partition >= settings.partitions:
        raise CallerError(
            f"There is no partition {partition}.",
            code="execution_not_found",
            field="EXECUTION",
            cure=f"The journal's partitions are 0 to {settings.partitions - 1}.",
        )
    replayer = Replayer(settings)
    try:
        replayer.check(partition, asked)
        known = places(settings.redis_url, settings.redis_prefix, execution_id)
        with progress_after_a_second("looking for it", replayer.size(execution_id)) as progress:
            if known:
                return replayer.with_rest(replayer.by_places(execution_id, known), progress)
            return replayer.by_search(execution_id, 0, progress)
    finally:
        replayer.close()
