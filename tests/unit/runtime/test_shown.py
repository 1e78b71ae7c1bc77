"""Invariants of records as they are shown.

- What is read as shown is what `members` says of the record read whole: of every event, whatever
  its members hold, and of every released schema.
- Damaged bytes are refused as `decode` refuses them, and taken where it takes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.property.test_codec import values
from tests.samples import EVENTS, JOURNAL, SAMPLES
from tests.unit.schemas.test_glances import journal_records

from symphainy_runtime.journal.documents import members
from symphainy_runtime.journal.shown import ShownRecord, read_shown, shown_type
from symphainy_schemas import codec
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import Event, JournalRecord, event_type

GOLDEN = Path(__file__).parents[2] / "golden" / "schemas"
HEADING = [name for name in ShownRecord.__struct_fields__ if name != "events"]
encode = msgspec.json.encode


def told(record: Any) -> list[Any]:
    return [getattr(record, name) for name in HEADING]


def assert_shown(found: ShownRecord, record: JournalRecord) -> None:
    assert told(found) == told(record)
    assert [encode(one) for one in found.events] == [encode(members(one)) for one in record.events]
    assert [shown_type(one) for one in found.events] == [event_type(one) for one in record.events]


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: type(one).__name__)
def test_every_event_is_shown_as_its_members_are(event: Event) -> None:
    record = replace(JOURNAL, events=(event, event))
    value = codec.encode(record)
    for _ in range(2):  # what was remembered is the same
        assert_shown(read_shown(value), record)


@settings(deadline=None)  # the first run makes the code
@given(record=journal_records(), event=values(Event))
def test_whatever_members_hold_is_shown(record: JournalRecord, event: Event) -> None:
    record = replace(record, events=(*record.events, event))
    assert_shown(read_shown(codec.encode(record)), record)


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("journal-record.*.hex")), ids=lambda path: path.stem
)
def test_a_record_of_an_earlier_release_is_shown(path: Path) -> None:
    value = bytes.fromhex(path.read_text())
    assert_shown(read_shown(value), codec.decode(value, JournalRecord))


@settings(deadline=None)  # the first run makes the code
@given(data=st.data(), events=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3))
def test_damaged_bytes_are_taken_and_refused_alike(data: st.DataObject, events: list[Any]) -> None:
    value = bytearray(codec.encode(replace(JOURNAL, events=tuple(events))))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(value[: data.draw(st.integers(0, len(value) + 1))])
    damaged += data.draw(st.binary(max_size=2))
    whole, found = tried(codec.decode, damaged, JournalRecord), tried(read_shown, damaged)
    if isinstance(whole, JournalRecord):
        assert_shown(found, whole)
    else:
        assert found == whole


def tried(read: Any, *given: Any) -> Any:
    """What is read; of the unreadable, why."""
    try:
        return read(*given)
    except UnreadableRecord as error:
        return error.code, error.message


def test_another_record_is_refused() -> None:
    with pytest.raises(UnreadableRecord) as refused:
        read_shown(codec.encode(SAMPLES["intent"]))
    assert refused.value.code == "wrong_schema"
