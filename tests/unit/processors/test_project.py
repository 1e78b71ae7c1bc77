"""Invariants of the projection.

- Every event is shown with its place; no event shows a payload or a token.
- Whatever bytes producers of another make wrote, the documents stay JSON.
"""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.samples import EVENTS, JOURNAL

from symphainy_processors.projection.project import Projection, event_document
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.read_model.reader import execution_document
from symphainy_schemas import events as e

PROJECTION = Projection(Keys("t:", 3), 1_000)


def test_every_event_is_shown_with_its_place() -> None:
    for index, event in enumerate(EVENTS):
        document = event_document(JOURNAL, 3, 42, index, event)
        shown = msgspec.json.decode(msgspec.json.encode(document))
        assert shown["id"] == f"3-42-{index}"
        assert (shown["topic"], shown["partition"], shown["offset"]) == ("journal", 3, 42)
        assert shown["type"] == e.event_type(event)
        assert shown["cause"] == {"topic": "intents", "partition": 3, "offset": 7}
        assert "token" not in shown["data"]
        assert "payload" not in shown["data"]


def fields(record: e.JournalRecord) -> dict[bytes, bytes]:
    """The execution's hash after the record."""
    (hset,) = (
        c for c in PROJECTION.project(record, 42).commands if c[1] == _key() and c[0] == "HSET"
    )
    pairs = [str(part).encode() for part in hset[2:]]
    return dict(zip(pairs[::2], pairs[1::2], strict=True)) | {b"status": b"running"}


def _key() -> str:
    return Keys("t:", 3).execution(JOURNAL.execution_id)


def test_a_document_tells_what_the_record_says() -> None:
    document = execution_document(fields(JOURNAL))
    assert document is not None
    assert document["execution_id"] == JOURNAL.execution_id
    assert document["artifacts"]["text"]["size"] == 70_000
    assert document["wal"] == {"topic": "intents", "partition": 3, "offset": 7}
    assert document["as_of"] == 42


@given(st.binary(max_size=30))
def test_whatever_producers_wrote_documents_stay_json(garbage: bytes) -> None:
    received = next(event for event in EVENTS if isinstance(event, e.IntentReceived))
    succeeded = next(event for event in EVENTS if isinstance(event, e.StepSucceeded))
    record = replace(
        JOURNAL,
        events=(
            replace(received, metadata=garbage),
            replace(succeeded, result=garbage),
            e.EventEmitted(event_type="x", data=garbage),
            e.StateChanged(key="k", value=garbage),
        ),
    )
    document = execution_document(fields(record))
    assert document is not None
    for command in PROJECTION.project(record, 42).commands:
        if command[0] == "RPUSH":
            for event in command[2:]:
                msgspec.json.decode(str(event))


def test_a_repeat_adds_an_event_and_changes_nothing_else() -> None:
    record = replace(JOURNAL, events=(e.IntentRepeated(same_payload=True),))
    projected = PROJECTION.project(record, 42)
    assert [command[0] for command in projected.commands] == ["RPUSH"]
    assert projected.change is None


def test_many_events_are_pushed_in_pieces() -> None:
    record = replace(JOURNAL, events=(e.ExecutionStarted(),) * 2_500)
    pushes = [c for c in PROJECTION.project(record, 42).commands if c[0] == "RPUSH"]
    assert [len(push) - 2 for push in pushes] == [1_000, 1_000, 500]
