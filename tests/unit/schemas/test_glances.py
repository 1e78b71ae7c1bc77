"""Invariants of glances.

- A glance at a record is what reading the whole tells of it, of every record and of every released
  schema; nothing behind its last member changes it.
- Damaged bytes make it a record's or `UnreadableRecord`, never anything else, and never unreadable
  where the whole is not.
- What is no glance at its record has no code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, defstruct
from msgspec.structs import replace
from tests.samples import EVENTS, JOURNAL, SAMPLES

from symphainy_processors.backtesting.skimming import Glance
from symphainy_schemas import codec
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import Event, JournalRecord, Position, Predecessor
from symphainy_schemas.records import Intent, StepReport

GOLDEN = Path(__file__).parents[2] / "golden" / "schemas"
NUMBERS = st.one_of(st.integers(-3, 300), st.integers(-(2**63), 2**63 - 1))
TEXT = st.text(max_size=80)


class Head(Struct, frozen=True, kw_only=True):
    """Everything that stands before the events, but for what is passed over."""

    of: ClassVar[type] = JournalRecord

    at: int
    cause: Position | None
    versions: dict[str, int]
    correlation_id: str
    events: type | None


class Early(Struct, frozen=True, kw_only=True):
    """It ends in the middle of the head."""

    of: ClassVar[type] = JournalRecord

    steps_next: int
    previous: Predecessor | None


class Stated(Struct, frozen=True, kw_only=True):
    """Of another record, with strings before and after."""

    of: ClassVar[type] = Intent

    tenant_id: str
    payload: bytes


GLANCES: list[Any] = [Glance, Head, Early]


def seen(value: bytes | None, at: Any) -> Any:
    """A glance."""
    return codec.glancing(at)(value)


def told(record: Any, glance: Any) -> Any:
    """The glance, made from the whole record."""
    found = {name: getattr(record, name) for name in glance.__struct_fields__}
    if "events" in found:
        found["events"] = type(record.events[0]) if record.events else None
    return glance(**found)


def journal_records() -> st.SearchStrategy[JournalRecord]:
    events: list[Event] = list(EVENTS)
    return st.builds(
        JournalRecord,
        term=NUMBERS,
        seq=NUMBERS,
        at=NUMBERS,
        cause=st.none() | st.builds(Position, TEXT, st.integers(0, 2**31 - 1), NUMBERS),
        parent=NUMBERS,
        intents_next=NUMBERS,
        steps_next=NUMBERS,
        acted_to=NUMBERS,
        prev_hash=st.binary(max_size=100),
        previous=st.none()
        | st.builds(Predecessor, NUMBERS, NUMBERS, st.none() | st.binary(max_size=70)),
        versions=st.dictionaries(TEXT, st.integers(-(2**31), 2**31 - 1), max_size=3),
        tenant_id=TEXT,
        session_id=TEXT,
        execution_id=TEXT,
        correlation_id=TEXT,
        events=st.lists(st.sampled_from(events), max_size=3).map(tuple),
    )


@pytest.mark.parametrize("glance", GLANCES)
@settings(deadline=None)  # the first run makes the code
@given(record=journal_records(), junk=st.binary(min_size=1, max_size=5))
def test_a_glance_is_what_the_whole_tells(glance: Any, record: JournalRecord, junk: bytes) -> None:
    value = codec.encode(record)
    assert seen(value, glance) == told(codec.decode(value, JournalRecord), glance)
    assert seen(value + junk, glance) == told(record, glance)


def test_a_glance_at_another_record() -> None:
    intent = SAMPLES["intent"]
    assert isinstance(intent, Intent)
    assert seen(codec.encode(intent), Stated) == told(intent, Stated)
    with pytest.raises(UnreadableRecord, match="not a JournalRecord") as caught:
        seen(codec.encode(intent), Glance)
    assert caught.value.code == "wrong_schema"


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: type(one).__name__)
def test_the_first_event_is_told_whatever_follows(event: Event) -> None:
    record = replace(JOURNAL, events=(event, *EVENTS))
    assert seen(codec.encode(record), Glance).events is type(event)


@pytest.mark.parametrize("glance", GLANCES)
@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("journal-record.*.hex")), ids=lambda path: path.stem
)
def test_a_record_of_an_earlier_release_is_glanced_at(path: Path, glance: Any) -> None:
    value = bytes.fromhex(path.read_text())
    assert seen(value, glance) == told(codec.decode(value, JournalRecord), glance)


@pytest.mark.parametrize("glance", GLANCES)
@settings(deadline=None)  # the first run makes the code
@given(data=st.data())
def test_what_can_be_read_whole_can_be_glanced_at(glance: Any, data: st.DataObject) -> None:
    value = bytearray(codec.encode(JOURNAL))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(codec.HEADER_BYTES, min(len(value), 260) - 1))
        value[at] = data.draw(st.integers(0, 255))
    damaged = bytes(value[: data.draw(st.integers(0, len(value)))])
    whole, found = tried(codec.decode, damaged, JournalRecord), tried(seen, damaged, glance)
    if isinstance(whole, JournalRecord):
        assert found == told(whole, glance)
    else:
        assert isinstance(found, glance) or found in (whole, "corrupt_record")


def tried(read: Any, value: bytes, of: Any) -> Any:
    """What is read; of the unreadable its code."""
    try:
        return read(value, of)
    except UnreadableRecord as error:
        return error.code


@pytest.mark.parametrize("cut", [None, b"", b"\xc3\x01", b"{}"])
def test_what_is_no_record_is_told_as_by_decode(cut: bytes | None) -> None:
    with pytest.raises(UnreadableRecord) as whole:
        codec.decode(cut, JournalRecord)
    with pytest.raises(UnreadableRecord) as caught:
        seen(cut, Glance)
    assert caught.value.code == whole.value.code


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"colour": int},
        {"term": str},
        {"term": type | None},
        {"versions": type | None},
    ],
)
def test_what_is_no_glance_has_no_code(members: dict[str, Any]) -> None:
    wrong = defstruct("Wrong", list(members.items()), namespace={"of": JournalRecord}, frozen=True)
    with pytest.raises(TypeError):
        seen(codec.encode(JOURNAL), wrong)


def test_arrays_and_optional_records_are_passed_over() -> None:
    late = defstruct("Late", [("attributes", bytes)], namespace={"of": Intent}, frozen=True)
    intent = SAMPLES["intent"]
    assert isinstance(intent, Intent)
    assert intent.roles
    assert intent.payload_ref is not None
    for one in (intent, replace(intent, roles=(), payload_ref=None)):
        found: Any = seen(codec.encode(one), late)
        assert found.attributes == intent.attributes


def test_an_enum_is_not_passed_over() -> None:
    """No record here needs it: whoever does adds it."""
    late = defstruct("Late", [("execution_id", str)], namespace={"of": StepReport}, frozen=True)
    with pytest.raises(TypeError, match="does not pass over"):
        seen(b"", late)
