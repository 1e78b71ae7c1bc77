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


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.hex")), ids=lambda p: p.stem)
def test_the_golden_bytes_of_a_release_are_read_for_ever(path: Path) -> None:
    """They are what that release wrote of today's sample, and today's reader takes them."""
    name, golden = path.name.split(".")[0], bytes.fromhex(path.read_text())
    record = SAMPLES[name]
    schema = json.loads((RELEASED / f"{path.stem}.avsc").read_text())
    datum = _datum(record)
    if name == "journal-record":
        known = _branch_names(schema)
        datum["events"] = [(x["-type"], x) for x in datum["events"] if x["-type"] in known]
    if name == "state":
        datum["body"] = (datum["body"]["-type"], datum["body"])
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), datum)
    assert golden[codec.HEADER_BYTES :] == out.getvalue()
    read = codec.decode(golden, type(record))
    if schema == json.loads(codec.schema_text(type(record))):
        assert read == record


def _datum(value: Any) -> Any:
    """As fastavro takes it: every member, also those that have their defaults."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        members = {name: _datum(one) for name, one in msgspec.structs.asdict(value).items()}
        return members if tag is None else {"-type": tag, **members}
    if isinstance(value, tuple | list):
        return [_datum(one) for one in value]
    if isinstance(value, dict):
        return {key: _datum(one) for key, one in value.items()}
    return value


def _branch_names(schema: Any) -> set[str]:
    (union,) = (f["type"]["items"] for f in schema["fields"] if f["name"] == "events")
    return {f"{branch['namespace']}.{branch['name']}" for branch in union}


def _without_new_branches(today: Any, earlier: Any) -> None:
    """Who writes for an earlier reader writes none that it does not know (rule 5)."""
    for field, before in zip(today["fields"], earlier["fields"], strict=False):
        kind = field["type"]
        if field["name"] == "events" and isinstance(kind["items"], list):
            kind["items"] = _known_branches(kind["items"], before["type"]["items"])
        elif field["name"] == "body":
            field["type"] = _known_branches(kind, before["type"])


def _known_branches(union: list[Any], earlier: list[Any]) -> list[Any]:
    known = {branch["name"] for branch in earlier}
    return [branch for branch in union if branch["name"] in known]


@pytest.mark.parametrize("name", SAMPLES)
def test_our_union_writer_writes_what_fastavro_writes(name: str) -> None:
    record = SAMPLES[name]
    schema = fastavro.parse_schema(json.loads(codec.schema_text(type(record))))
    datum = _datum(record)
    if name == "journal-record":
        datum["events"] = [(event["-type"], event) for event in datum["events"]]
    if name == "state":
        datum["body"] = (datum["body"]["-type"], datum["body"])
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, datum)
    assert codec.encode(record)[codec.HEADER_BYTES :] == out.getvalue()


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.avsc")), ids=lambda p: p.stem)
def test_schemas_evolve_backward_and_forward(path: Path) -> None:
    """An older reader never meets a newer event: those wait for a feature level (rule 5)."""
    text = json.loads((RELEASED.parent / f"{path.name.split('.')[0]}.avsc").read_text())
    today, earlier = fastavro.parse_schema(text), json.loads(path.read_text())
    old = fastavro.parse_schema(earlier)
    _without_new_branches(text, earlier)
    written_for_old = fastavro.parse_schema(text)
    for writer, reader in ((old, today), (written_for_old, old)):
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
