"""`symphainy offsets …`: how far each role has come, and moving a position where that is safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from threading import Event
from typing import Annotated, Any

import typer
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from msgspec.structs import asdict
from redis import Redis
from rich.console import Group
from rich.live import Live
from rich.table import Table

from symphainy_cli.backtest_options import moment, partitions_of
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, out, show_json, show_line, show_table
from symphainy_processors.projection.clearing import Clearing
from symphainy_runtime.offsets.lag import AUDITOR, GROUP, OWNER, PROJECTOR, WORKER, Lag, Lags
from symphainy_runtime.offsets.moving import Move, planned, require_movable, require_stopped
from symphainy_runtime.offsets.places import Places
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError, SymphainyError, Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.clock import SystemClock
from symphainy_transport.groups import members
from symphainy_transport.topics import Topics

app = typer.Typer(help="How far each role has come; moving what may be.", no_args_is_help=True)


class LagRole(StrEnum):
    """Whose positions."""

    OWNER = OWNER
    PROJECTOR = PROJECTOR
    WORKER = WORKER
    AUDITOR = AUDITOR
    GROUP = GROUP


_EVERY_S = 2.0
_COLUMNS = ("role", "of", "topic", "partition", "position", "end", "lag", "kept in")


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="offsets")


@app.command()
def lag(
    role: Annotated[
        list[LagRole], typer.Option(help="Only of this role; repeatable.", show_default="all")
    ] = [],  # noqa: B006  (typer reads the default, nobody changes it)
    watch: Annotated[
        bool, typer.Option("--watch", help="Draw it anew every 2 s, until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """Say how far each role has come in each partition, and how much it has before it.

    Owners: intents, steps, and journal (whose effects are not all confirmed); projectors; workers
    of each realm; auditors; other consumer groups that read these topics. Exits 1 if a position is
    expired, or beyond the log's end.
    """
    settings = kafka_settings()
    wanted = [str(one) for one in (role or list(LagRole))]
    with Places(settings) as places:
        lags = Lags(settings, places)
        if watch:
            _watch(lags, wanted, json)
            return
        found, silent = _ask(lags, wanted)
        if json:
            show_json(_document(found, silent))
        else:
            out.print(_drawn(found, silent))
        if any(one.state for one in found):
            raise typer.Exit(1)


def _ask(lags: Lags, wanted: Sequence[str]) -> tuple[list[Lag], dict[str, SymphainyError]]:
    """What each role tells, and why one tells nothing; the others do all the same."""
    found: list[Lag] = []
    silent: dict[str, SymphainyError] = {}
    for role in wanted:
        try:
            found += lags.of(role)
        except SymphainyError as error:
            silent[role] = error
    return found, silent


def _watch(lags: Lags, wanted: Sequence[str], json: bool) -> None:
    never = Event()
    try:
        if json:
            while True:
                show_line(_document(*_ask(lags, wanted)))
                never.wait(_EVERY_S)
        with Live(_drawn(*_ask(lags, wanted)), console=out, screen=out.is_terminal) as live:
            while not never.wait(_EVERY_S):
                live.update(_drawn(*_ask(lags, wanted)), refresh=True)
    except KeyboardInterrupt:
        return


def _document(found: Sequence[Lag], silent: dict[str, SymphainyError]) -> dict[str, Any]:
    def row(one: Lag) -> dict[str, Any]:
        return {**asdict(one), "lag": one.lag, "state": one.state}

    return {
        "lags": [row(one) for one in found],
        "unknown": [
            {"role": role, "code": error.code, "message": error.message}
            for role, error in silent.items()
        ],
    }


def _drawn(found: Sequence[Lag], silent: dict[str, SymphainyError]) -> Group:
    table = Table(header_style="bold")
    for column in _COLUMNS:
        right = column in ("partition", "position", "end", "lag")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for one in found:
        position = "none yet" if one.position is None else str(one.position)
        state = f" {one.state.upper()}" if one.state else ""
        told = "" if one.lag is None else str(one.lag)
        row = (one.role, one.group, one.topic, one.partition, position + state, one.end, told)
        table.add_row(*map(str, row), one.kept_in)
    return Group(table, *(f"{role}: {error.message}" for role, error in silent.items()))


@app.command()
def reset(
    role: Annotated[LagRole, typer.Argument(help="Whose position.")],
    of: Annotated[
        str, typer.Option("--of", help="The realm of workers, or the name of a group.")
    ] = "",
    topic: Annotated[
        str, typer.Option(help="Only this topic, with or without prefix; of a group.")
    ] = "",
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    to_offset: Annotated[
        int | None, typer.Option(help="To this offset; needs --partition.", min=0)
    ] = None,
    to_time: Annotated[
        str, typer.Option(help="To what Kafka appended from then on: 7d, 12h, or ISO 8601.")
    ] = "",
    to_earliest: Annotated[
        bool, typer.Option("--to-earliest", help="To the first offset that is kept.")
    ] = False,
    execute: Annotated[
        bool,
        typer.Option("--execute/--dry-run", help="Do it; without it, only what would be is said."),
    ] = False,
    json: Json = False,
) -> None:
    """Move a position, where that breaks no guarantee; else say why not, and what to do.

    A projector may begin anew, while it runs. Workers may where their position is expired. Groups
    that are not ours may go anywhere that the log has. Owners and auditors cannot. Groups must be
    stopped.
    """
    require_movable(role)
    _one_target(partition, to_offset, to_time, to_earliest)
    settings = kafka_settings()
    with Places(settings) as places:
        chosen = _chosen(Lags(settings, places), settings, role, of, topic, partition)
        at_ms = moment("--to-time", to_time, SystemClock().now_ms()) if to_time else None
        moves = [planned(one, _wanted(places, one, to_offset, at_ms)) for one in chosen]
    group = chosen[0].kept_in.removeprefix("group ")
    if role in (WORKER, GROUP):
        require_stopped(role, group, members(settings, "symphainy-offsets", group))
    if execute:
        _move(settings, role, group, moves)
    _show_moves(moves, execute, json)


def _one_target(
    partition: int | None, to_offset: int | None, to_time: str, to_earliest: bool
) -> None:
    if [to_offset is not None, bool(to_time), to_earliest].count(True) != 1:
        raise CallerError(
            "Say to where, in one way.",
            code="malformed_option",
            field="--to-offset",
            cure="State one of --to-offset, --to-time and --to-earliest.",
        )
    if to_offset is not None and partition is None:
        raise CallerError(
            "An offset means something in one partition only.",
            code="malformed_option",
            field="--partition",
            cure="State --partition, too, or --to-time.",
        )


def _chosen(
    lags: Lags,
    settings: RuntimeSettings,
    role: str,
    of: str,
    topic: str,
    partition: int | None,
) -> list[Lag]:
    """What is meant.

    Raises:
        CallerError: nothing is, or it is not said which.
    """
    if role in (WORKER, GROUP) and not of:
        raise CallerError(
            "There are several of them.",
            code="malformed_option",
            field="--of",
            cure="State the realm, or the group's name: `symphainy offsets lag` lists them.",
        )
    if role == PROJECTOR:
        partitions_of(partition, settings.partitions)
    named = {topic, Topics(settings.topic_prefix).name(topic)} if topic else None
    found = [
        one
        for one in lags.of(role)
        if (not of or one.group == of)
        and (partition is None or one.partition == partition)
        and (named is None or one.topic in named)
    ]
    if not found:
        raise CallerError(
            "There is no such position.",
            code="no_such_position",
            field="--of",
            cure="`symphainy offsets lag` lists them.",
        )
    return found


def _wanted(places: Places, lag: Lag, to_offset: int | None, at_ms: int | None) -> int | None:
    if at_ms is None:
        return to_offset
    found = places.at(lag.topic, lag.partition, at_ms)
    return lag.end if found is None else found


def _move(settings: RuntimeSettings, role: str, group: str, moves: Sequence[Move]) -> None:
    """Do it; safe to repeat.

    Raises:
        Unavailable: Kafka or Redis did not do it.
    """
    if role == PROJECTOR:
        redis: Any = Redis.from_url(settings.require_redis())
        partitions = [one.partition for one in moves]
        Clearing.begin(redis, settings.redis_prefix, partitions).run()
        redis.close()
        return
    places = [TopicPartition(one.topic, one.partition, one.to) for one in moves]
    client = admin(settings, "symphainy-offsets")  # kept: without it nobody answers
    asked = client.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, places)], request_timeout=10.0
    )
    try:
        for answer in asked.values():
            refused = [
                one for one in answer.result(timeout=20.0).topic_partitions if one.error is not None
            ]
            if refused:
                raise Unavailable(f"Kafka did not move {refused[0]}: {refused[0].error}")
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"Kafka did not move group {group}: {error}") from error


def _show_moves(moves: Sequence[Move], executed: bool, json: bool) -> None:
    if json:
        rows = [{**asdict(one), "again": one.again} for one in moves]
        show_json({"executed": executed, "moves": rows})
        return
    show_table(
        ("topic", "partition", "position", "to", "read again", "note"),
        list(_rows(moves)),
        "Moved" if executed else "Would be moved; --execute does it",
    )


def _rows(moves: Sequence[Move]) -> Iterator[tuple[object, ...]]:
    for one in moves:
        again = one.again if one.again >= 0 else f"{-one.again} SKIPPED"
        yield one.topic, one.partition, one.position, one.to, again, one.note
