"""Invariants of the projection.

- Every event is shown with its place; no event shows a payload or a token.
- Whatever bytes producers of another make wrote, the documents stay JSON.
- A step shows what its latest event says; the end of an old delivery says nothing of it.
- A batch carries how far the last valid record had decided the intents, and nothing else does.
"""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.samples import EVENTS, JOURNAL

from symphainy_processors.projection.project import STEP_STATUS, Projection
from symphainy_processors.projection.projector import PartitionProjector
from symphainy_runtime.journal.documents import event_document
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.read_model.reader import execution_document
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode
from symphainy_schemas.records import Error

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
    assert [command[0] for command in projected.commands] == ["RPUSHX"]
    assert projected.change is None


def test_many_events_are_pushed_in_pieces() -> None:
    record = replace(JOURNAL, events=(e.ExecutionStarted(),) * 2_500)
    pushes = [c for c in PROJECTION.project(record, 42).commands if c[0] == "RPUSH"]
    assert [len(push) - 2 for push in pushes] == [1_000, 1_000, 500]


def test_every_event_of_a_step_but_the_end_of_an_old_delivery_shows_a_status() -> None:
    of_a_step = {type(event) for event in EVENTS if hasattr(event, "step")}
    silent = {
        e.DeliveryClosed,
        e.StepClosed,
        e.ChildInvoked,  # of any delivery of the attempt
        e.StepRetryRequested,  # it is ready in the same record
        e.CompensationSucceeded,  # the step that undid it shows it
        e.CompensationFailed,
    }
    assert of_a_step - silent == set(STEP_STATUS)


def test_a_step_that_waits_for_its_turn_is_ready() -> None:
    record = replace(JOURNAL, events=(e.StepReady(step="main", attempt=2),))
    step = msgspec.json.decode(fields(record)[b"step:main"])
    assert step == {"step": "main", "status": "ready", "attempt": 2}


def test_the_end_of_an_old_delivery_changes_only_the_events() -> None:
    record = replace(JOURNAL, events=(e.DeliveryClosed(step="main", delivery=1),))
    assert set(fields(record)) == {b"as_of", b"status"}
    [push] = [c for c in PROJECTION.project(record, 42).commands if c[0] == "RPUSH"]
    assert msgspec.json.decode(str(push[2]))["type"] == "delivery_closed"


TERM = 7


def journaled(seq: int, intents_next: int, term: int = TERM) -> bytes:
    """A record without events; the first of a term takes it."""
    events = (e.OwnershipTaken(owner="o", feature_level=1),) if seq == 0 else ()
    record = replace(
        JOURNAL,
        term=-1 if seq == 0 else term,
        seq=seq,
        at=1_000 + seq,
        intents_next=intents_next,
        execution_id="",
        events=events,
    )
    return encode(record)


def decided(projector: PartitionProjector) -> tuple[object, object]:
    """The batch's `intents_next` and time, as the script takes them."""
    arguments = projector.arguments()
    return arguments[5], arguments[6]


def projector_at(position: dict[bytes, bytes]) -> PartitionProjector:
    """A projector that stands where Redis says."""
    projector = PartitionProjector(Keys("t:", 3), 1_000)
    projector.load(position)
    return projector


def test_a_batch_says_how_far_its_last_valid_record_had_decided() -> None:
    projector = projector_at({})
    projector.take(TERM, journaled(0, 40))
    projector.take(TERM + 1, journaled(1, 41))
    projector.take(TERM + 2, journaled(2, 45))
    assert decided(projector) == (45, 1_002)


def test_a_new_owner_that_knew_less_takes_nothing_back() -> None:
    projector = projector_at({})
    projector.take(TERM, journaled(0, 40))
    projector.take(TERM + 1, journaled(1, 45))
    projector.take(TERM + 2, journaled(0, 43))
    assert decided(projector) == (45, 1_000)


def test_what_does_not_count_decides_nothing() -> None:
    projector = projector_at({})
    projector.take(TERM, journaled(0, 40))
    projector.take(TERM + 1, journaled(9, 99))
    projector.take(TERM + 2, journaled(1, 98, term=3))
    assert decided(projector) == (40, 1_000)


POSITION = {b"offset": b"9", b"term": b"7", b"seq": b"2", b"hash": b"h"}


def test_a_batch_without_a_valid_record_keeps_what_was_decided() -> None:
    projector = projector_at(POSITION | {b"intents_next": b"45", b"at": b"1002"})
    projector.take(10, journaled(9, 99))
    assert projector.dirty
    assert decided(projector) == (45, 1_002)


def test_a_position_of_an_older_release_says_nothing_until_a_record_does() -> None:
    projector = projector_at(POSITION)
    assert decided(projector) == ("", "")
    projector.take(10, journaled(3, 46))
    assert decided(projector) == (46, 1_003)


def steps(*records: e.JournalRecord) -> list[dict[str, object]]:
    """The execution's steps after JOURNAL's beginning and these."""
    kept = fields(JOURNAL)
    for record in records:
        kept |= fields(record)
    document = execution_document(kept)
    assert document is not None
    found: list[dict[str, object]] = document["steps"]
    return found


STARTED = e.StepStarted(step="charge", attempt=1, delivery=2, worker="w-1", started_at=900)
BROKEN = Error(code="declined", message="No.", retryable=True)


def test_who_began_a_step_and_when_outlives_what_it_says_later() -> None:
    progress = e.StepProgressed(step="charge", attempt=1, delivery=2, message="half")
    failed = e.StepFailed(step="charge", attempt=1, delivery=2, worker="", error=BROKEN)
    started = replace(JOURNAL, events=(STARTED,))
    for event, status in ((progress, "started"), (failed, "failed")):
        later = replace(JOURNAL, events=(event,))
        [step] = [one for one in steps(started, later) if one["step"] == "charge"]
        assert (step["status"], step["worker"], step["started_at"]) == (status, "w-1", 900)
    assert step["ended_at"] == JOURNAL.at


def test_a_later_delivery_did_not_begin_when_an_earlier_one_did() -> None:
    again = e.StepDispatched(
        step="charge", attempt=1, delivery=3, token="t", start_by=5, timeout_ms=0
    )
    started, later = replace(JOURNAL, events=(STARTED,)), replace(JOURNAL, events=(again,))
    [step] = [one for one in steps(started, later) if one["step"] == "charge"]
    assert "started_at" not in step


def test_a_step_that_backs_off_shows_why() -> None:
    failed = e.StepFailed(step="charge", attempt=1, delivery=2, worker="w-1", error=BROKEN)
    retried = e.StepRetryScheduled(step="charge", attempt=2, due_at=5_000)
    record = replace(JOURNAL, events=(failed, retried))
    [step] = [one for one in steps(record) if one["step"] == "charge"]
    assert (step["status"], step["attempt"], step["due_at"]) == ("backing_off", 2, 5_000)
    assert step["error"] == msgspec.json.decode(msgspec.json.encode(BROKEN))
