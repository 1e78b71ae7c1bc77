"""Records to bytes and back: Avro, single-object encoding.

Marker C3 01, the CRC-64-AVRO fingerprint of the writer's schema (little-endian), the datum
(source: Apache Avro specification, "Single-object encoding"). A record written under an older
released schema is read by resolution against today's. This module is the one door where foreign
decoding errors become `UnreadableRecord`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from typing import Any, TypeVar

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import (
    CapabilityResolved,
    Event,
    ExecutionStarted,
    ExecutionSucceeded,
    JournalRecord,
)
from symphainy_schemas.records import (
    ApiKey,
    Capability,
    DeadLetter,
    Intent,
    StepReport,
    Task,
    Tenant,
)
from symphainy_schemas.state import State

MARKER = b"\xc3\x01"
HEADER_BYTES = 10

Record = (
    Intent | JournalRecord | Task | StepReport | State | Capability | Tenant | ApiKey | DeadLetter
)
R = TypeVar("R", bound=Record)

SCHEMA_FILES: Mapping[type[Record], str] = {
    Intent: "intent",
    JournalRecord: "journal-record",
    Task: "task",
    StepReport: "step-report",
    State: "state",
    Capability: "capability",
    Tenant: "tenant",
    ApiKey: "api-key",
    DeadLetter: "dead-letter",
}
# A union of several records: the field that holds it, last in its record. fastavro's own writer
# looks such a union up branch by branch (measured: 108 µs a journal record of four events); since
# an Avro record is its fields' bytes in a row, each branch is written here by its own schema.
_UNION_FIELD: Mapping[type, str] = {JournalRecord: "events", State: "body"}
_END_OF_ARRAY = b"\x00"
_REPEATED = frozenset({CapabilityResolved, ExecutionStarted, ExecutionSucceeded})


class _Branches(msgspec.Struct, frozen=True):
    """How to write a record whose last field is a union of records, or an array of such."""

    head: Any
    plain: tuple[str, ...]
    optional: tuple[tuple[str, str], ...]
    by_name: dict[str, tuple[bytes, Any]]


class _Known(msgspec.Struct, frozen=True):
    """A schema that this version can read."""

    record: type[Record]
    writer: Any
    reader: Any


def schema_text(record: type[Record]) -> str:
    """Today's Avro schema of a record, as it stands in `avro/`."""
    text: str = (_folder() / f"{SCHEMA_FILES[record]}.avsc").read_text()
    return text


def schema_fingerprint(text: str) -> bytes:
    """CRC-64-AVRO of the parsing canonical form, little-endian, 8 bytes."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(text)), "CRC-64-AVRO"))


def encode(record: Record) -> bytes:
    """The record's bytes, ready for Kafka."""
    header, schema = _writer(type(record))
    out = BytesIO()
    out.write(header)
    union = _UNION_FIELD.get(type(record))
    if union is None:
        datum = msgspec.to_builtins(record, builtin_types=(bytes,))
        fastavro.schemaless_writer(out, schema, datum)
    else:
        _write_with_union(out, record, union)
    return out.getvalue()


def _write_with_union(out: BytesIO, record: Record, union: str) -> None:
    branches = _branches(type(record))
    head: dict[str, Any] = {name: getattr(record, name) for name in branches.plain}
    for name, full in branches.optional:
        value = getattr(record, name)
        head[name] = None if value is None else (full, msgspec.structs.asdict(value))
    fastavro.schemaless_writer(out, branches.head, head)
    items = getattr(record, union)
    if not isinstance(items, tuple):
        out.write(_branch_bytes(branches, items))
        return
    if items:
        out.write(_long(len(items)))
    for item in items:
        out.write(_constant(item) if type(item) in _REPEATED else _branch_bytes(branches, item))
    out.write(_END_OF_ARRAY)


def _branch_bytes(branches: _Branches, item: Any) -> bytes:
    datum: Any = msgspec.to_builtins(item, builtin_types=(bytes,))
    index, schema = branches.by_name[datum["-type"]]
    out = BytesIO()
    out.write(index)
    fastavro.schemaless_writer(out, schema, datum)
    return out.getvalue()


@lru_cache(maxsize=1_024)
def _constant(event: Event) -> bytes:
    """An event that recurs with the very same members: its bytes are made once."""
    return _branch_bytes(_branches(JournalRecord), event)


def _long(value: int) -> bytes:
    """A non-negative Avro long: zig-zag, then base 128, least significant group first."""
    value <<= 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def decode(data: bytes | None, expected: type[R]) -> R:
    """The record in `data`.

    Raises:
        UnreadableRecord: with `code` `empty_record`, `not_single_object`, `unknown_schema`,
            `wrong_schema` or `corrupt_record`.
    """
    if not data:
        raise UnreadableRecord("The record has no value.", code="empty_record")
    if data[:2] != MARKER or len(data) < HEADER_BYTES:
        raise UnreadableRecord(
            "The value is not in Avro single-object encoding.",
            code="not_single_object",
            cure="Write C3 01, the schema's CRC-64-AVRO fingerprint, then the datum.",
        )
    known = _readers().get(data[2:HEADER_BYTES])
    if known is None:
        raise UnreadableRecord(
            f"No schema with fingerprint {data[2:HEADER_BYTES].hex()} is known here.",
            code="unknown_schema",
            cure="Upgrade this process, or write with a released schema.",
        )
    if known.record is not expected:
        raise UnreadableRecord(
            f"This is a {known.record.__name__}, not a {expected.__name__}.",
            code="wrong_schema",
        )
    return _read(data, known, expected)


def _read(data: bytes, known: _Known, expected: type[R]) -> R:
    body = BytesIO(data)
    body.seek(HEADER_BYTES)
    try:
        datum: Any = fastavro.schemaless_reader(
            body,
            known.writer,
            known.reader,
            return_record_name=True,
            return_record_name_override=True,
        )
        union = _UNION_FIELD.get(expected)
        if union is not None:
            datum[union] = _tagged(datum[union])
        record = msgspec.convert(datum, expected, builtin_types=(bytes,))
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise UnreadableRecord(
            f"The datum does not fit its schema: {type(error).__name__}: {error}",
            code="corrupt_record",
        ) from error
    if body.tell() != len(data):
        raise UnreadableRecord(
            f"{len(data) - body.tell()} bytes follow the datum.", code="corrupt_record"
        )
    return record


def _tagged(union: Any) -> Any:
    if isinstance(union, list):
        return [_tagged(item) for item in union]
    name, datum = union
    datum["-type"] = name
    return datum


def _folder() -> Any:
    return resources.files("symphainy_schemas") / "avro"


@cache
def _writer(record: type[Record]) -> tuple[bytes, Any]:
    text = schema_text(record)
    return MARKER + schema_fingerprint(text), fastavro.parse_schema(json.loads(text))


def _optional_records(fields: list[Any]) -> tuple[tuple[str, str], ...]:
    """Fields that hold null or a record, with that record's name: fastavro takes (name, datum) as
    it is, and else validates the datum against each branch before it writes it."""
    found = []
    for field in fields:
        match field["type"]:
            case ["null", {"type": "record", "name": name, "namespace": space}]:
                found.append((field["name"], f"{space}.{name}"))
    return tuple(found)


@cache
def _branches(record: type[Record]) -> _Branches:
    schema = json.loads(schema_text(record))
    *head, last = schema["fields"]
    named: dict[str, Any] = {}
    parsed_head = fastavro.parse_schema({**schema, "fields": head}, named_schemas=named)
    union = last["type"]["items"] if isinstance(last["type"], dict) else last["type"]
    optional = _optional_records(head)
    return _Branches(
        parsed_head,
        tuple(f["name"] for f in head if f["name"] not in dict(optional)),
        optional,
        {
            f"{branch['namespace']}.{branch['name']}": (
                _long(index),
                fastavro.parse_schema(branch, named_schemas=named),
            )
            for index, branch in enumerate(union)
        },
    )


@cache
def _readers() -> dict[bytes, _Known]:
    """Every released schema by fingerprint; `avro/released/<name>.<n>.avsc` holds older ones."""
    known: dict[bytes, _Known] = {}
    for record, name in SCHEMA_FILES.items():
        header, today = _writer(record)
        for old in sorted((_folder() / "released").glob(f"{name}.*.avsc")):
            text = old.read_text()
            writer = fastavro.parse_schema(json.loads(text))
            known[schema_fingerprint(text)] = _Known(record, writer, today)
        known[header[2:]] = _Known(record, today, None)
    return known
