"""`symphainy wal …`: the log itself, from Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from confluent_kafka import Consumer, TopicPartition

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, out, show_line
from symphainy_processors.projection.documents import event_document
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.topics import JOURNAL, Topics

app = typer.Typer(help="The write-ahead log and the journal.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="wal")


@app.command()
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep waiting for more.")] = False,
    last: Annotated[
        int, typer.Option("--last", "-n", help="Records per partition to begin with.")
    ] = 10,
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    execution: Annotated[str, typer.Option(help="Only this execution's events.")] = "",
    session: Annotated[str, typer.Option(help="Only this session's events.")] = "",
    event: Annotated[str, typer.Option(help="Only events of this type.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="From the first offset kept.")] = False,
    json: Json = False,
) -> None:
    """Show the journal's events with their places, as they stand in Kafka."""
    settings = kafka_settings()
    client = consumer(settings, "symphainy-tail", auto_offset_reset="earliest")
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    wanted = {"execution_id": execution, "session_id": session, "type": event}
    chosen = range(settings.partitions) if partition is None else [partition]
    try:
        for document in _events(client, topic, list(chosen), None if all_ else last, follow):
            if all(not value or document[name] == value for name, value in wanted.items()):
                show_line(document) if json else _show(document)
    except KeyboardInterrupt:
        pass
    finally:
        client.close()


def _events(
    client: Consumer, topic: str, partitions: list[int], last: int | None, follow: bool
) -> Iterator[dict[str, Any]]:
    """Events from `last` records before the end of each partition, in the order of arrival."""
    limits = {p: bounds(client, TopicPartition(topic, p)) for p in partitions}
    ends = {p: high for p, (_, high) in limits.items()}
    # What counts is known only from a takeover on: read from the start, show from `last`.
    client.assign([TopicPartition(topic, p, low) for p, (low, _) in limits.items()])
    standings = {p: Validity() for p in partitions}
    while follow or _unread(client, topic, ends):
        message = client.poll(0.5)
        if message is None or message.error() is not None:
            continue
        p, offset, value = message.partition(), message.offset(), message.value()
        if p is None or offset is None or value is None:
            continue
        stored = judge(value, offset, standings[p])
        standings[p] = stored.standing
        hidden = last is not None and offset < ends[p] - last
        if hidden or not stored.valid or stored.record is None:
            continue
        for index, event in enumerate(stored.record.events):
            yield event_document(stored.record, p, offset, index, event)


def _unread(client: Consumer, topic: str, ends: dict[int, int]) -> bool:
    places = client.position([TopicPartition(topic, p) for p, end in ends.items() if end])
    return any(place.offset < ends[place.partition] for place in places)


def _show(document: dict[str, Any]) -> None:
    out.print(
        f"[dim]{document['partition']}/{document['offset']}[/] [bold]{document['type']:22}[/] "
        f"{document['execution_id'] or document['session_id']} [dim]{_brief(document['data'])}[/]",
        highlight=False,
        soft_wrap=True,
    )


def _brief(data: dict[str, Any]) -> str:
    shown = [f"{k}={v}" for k, v in data.items() if isinstance(v, str | int) and v != ""]
    return " ".join(shown)[:160]
