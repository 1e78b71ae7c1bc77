"""Invariants of the codec.

- Every record survives a round trip, and is written with the bytes of its release (golden).
- Every released schema is read by today's, and today's by every released one.
- Whatever bytes come, decoding answers a record or `UnreadableRecord`, never anything else.
- The members of the frozen records are those of the Avro schemas.
"""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from fastavro.utils import generate_one
from hypothesis import given
from hypothesis import strategies as st
from tests.samples import EVENTS, SAMPLES

from symphainy_schemas import codec
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import EVENT_TYPES, Event, JournalRecord, event_type
from symphainy_schemas.records import Intent, Task

GOLDEN = Path(__file__).parents[2] / "golden" / "schemas"
RELEASED = Path(codec.__file__).parent / "avro" / "released"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_record_survives_a_round_trip(name: str) -> None:
    record = SAMPLES[name]
    assert codec.decode(codec.encode(record), type(record)) == record


@pytest.mark.parametrize("name", SAMPLES)
def test_the_golden_bytes_of_a_release_are_read_for_ever(name: str) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name}.1.hex").read_text())
    assert codec.decode(golden, type(SAMPLES[name])) == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_our_union_writer_writes_what_fastavro_writes(name: str) -> None:
    record = SAMPLES[name]
    schema = fastavro.parse_schema(json.loads(codec.schema_text(type(record))))
    datum: Any = msgspec.to_builtins(record, builtin_types=(bytes,))
    if name == "journal-record":
        datum["events"] = [(event["-type"], event) for event in datum["events"]]
    if name == "state":
        datum["body"] = (datum["body"]["-type"], datum["body"])
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, datum)
    assert codec.encode(record)[codec.HEADER_BYTES :] == out.getvalue()


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.avsc")), ids=lambda p: p.stem)
def test_schemas_evolve_backward_and_forward(path: Path) -> None:
    today = fastavro.parse_schema(
        json.loads((RELEASED.parent / f"{path.name.split('.')[0]}.avsc").read_text())
    )
    old = fastavro.parse_schema(json.loads(path.read_text()))
    for writer, reader in ((old, today), (today, old)):
        data = io.BytesIO()
        fastavro.schemaless_writer(data, writer, generate_one(writer))
        data.seek(0)
        fastavro.schemaless_reader(data, writer, reader)


def test_todays_schemas_are_among_the_released_ones() -> None:
    """An edit of a schema needs a new file beside the old ones in avro/released."""
    for record, name in codec.SCHEMA_FILES.items():
        today = codec.schema_fingerprint(codec.schema_text(record))
        released = RELEASED.glob(f"{name}.*.avsc")
        assert today in {codec.schema_fingerprint(path.read_text()) for path in released}, name


def test_the_fingerprint_is_the_specifications() -> None:
    """Apache Avro, "Schema Fingerprints": the test vector of `"int"`, stored little-endian."""
    assert codec.schema_fingerprint('"int"') == bytes.fromhex("8f5c393f1ad57572")


def test_members_of_records_are_those_of_the_schemas() -> None:
    for record, name in codec.SCHEMA_FILES.items():
        fields = [field["name"] for field in json.loads(codec.schema_text(record))["fields"]]
        assert set(record.__struct_fields__) == set(fields), name
    (union,) = (
        field["type"]["items"]
        for field in json.loads(codec.schema_text(JournalRecord))["fields"]
        if field["name"] == "events"
    )
    assert [branch["name"] for branch in union] == [t.__name__ for t in Event.__args__]
    for branch, event in zip(union, Event.__args__, strict=True):
        assert set(event.__struct_fields__) == {field["name"] for field in branch["fields"]}


def test_samples_hold_every_event() -> None:
    assert tuple(event_type(event) for event in EVENTS) == EVENT_TYPES


@given(st.binary(max_size=200))
def test_garbage_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        codec.decode(data, Intent)


@given(st.data(), st.sampled_from(sorted(SAMPLES)))
def test_damaged_records_are_records_or_unreadable(data: st.DataObject, name: str) -> None:
    record = SAMPLES[name]
    value = bytearray(codec.encode(record))
    at = data.draw(st.integers(codec.HEADER_BYTES, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(value)))
    for damaged in (bytes(value), bytes(value[:cut])):
        with suppress(UnreadableRecord):
            assert type(codec.decode(damaged, type(record))) is type(record)


def test_each_kind_of_unreadable_has_its_code() -> None:
    good = codec.encode(SAMPLES["intent"])
    for data, code in (
        (b"", "empty_record"),
        (None, "empty_record"),
        (b"{}", "not_single_object"),
        (codec.MARKER + b"12345678" + b"x", "unknown_schema"),
        (good + b"x", "corrupt_record"),
        (good[:-1], "corrupt_record"),
    ):
        with pytest.raises(UnreadableRecord) as caught:
            codec.decode(data, Intent)
        assert caught.value.code == code
    with pytest.raises(UnreadableRecord) as caught:
        codec.decode(good, Task)
    assert caught.value.code == "wrong_schema"
