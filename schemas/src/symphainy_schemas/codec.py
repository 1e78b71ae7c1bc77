"""Records to bytes and back: Avro, single-object encoding.

Marker C3 01, the CRC-64-AVRO fingerprint of the writer's schema (little-endian), the datum
(source: Apache Avro specification, "Single-object encoding"). Today's schemas are read and written
by the functions that `avro_code` makes of them; a record written under an older released schema is
read by fastavro, by resolution against today's. This module is the one door where decoding errors
become `UnreadableRecord`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any, TypeVar

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

from symphainy_schemas.avro_code import (
    Habits,
    Instead,
    Narrow,
    Read,
    Write,
    compiled,
    compiled_glance,
    compiled_retelling,
    retold,
)
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import CapabilityResolved, JournalRecord
from symphainy_schemas.records import (
    ApiKey,
    CancelNotice,
    Capability,
    DeadLetter,
    Intent,
    PolicyDecision,
    PolicySet,
    Serving,
    StepReport,
    Task,
    Tenant,
)
from symphainy_schemas.state import State

MARKER = b"\xc3\x01"
HEADER_BYTES = 10

Record = (
    Intent
    | JournalRecord
    | Task
    | StepReport
    | State
    | Capability
    | Tenant
    | ApiKey
    | PolicySet
    | Serving
    | DeadLetter
    | CancelNotice
)
R = TypeVar("R", bound=Record)
G = TypeVar("G", bound=msgspec.Struct)

SCHEMA_FILES: Mapping[type[Record], str] = {
    Intent: "intent",
    JournalRecord: "journal-record",
    Task: "task",
    StepReport: "step-report",
    State: "state",
    Capability: "capability",
    Tenant: "tenant",
    ApiKey: "api-key",
    PolicySet: "policy-set",
    Serving: "serving",
    DeadLetter: "dead-letter",
    CancelNotice: "cancel-notice",
}
_HABITS = Habits(
    times=frozenset({"at", "created_at", "started_at", "ended_at", "start_by", "due_at"}),
    recurring=frozenset({CapabilityResolved, PolicyDecision}),
)
# A union of several records: the field that holds it, whose branches fastavro answers by name.
_UNION_FIELD: Mapping[type, str] = {JournalRecord: "events", State: "body"}


class _Known(msgspec.Struct, frozen=True):
    """A schema that this version can read."""

    record: type[Record]
    read: Read


def schema_text(record: type[Record]) -> str:
    """Today's Avro schema of a record, as it stands in `avro/`."""
    text: str = (_folder() / f"{SCHEMA_FILES[record]}.avsc").read_text()
    return text


def schema_fingerprint(text: str) -> bytes:
    """CRC-64-AVRO of the parsing canonical form, little-endian, 8 bytes."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(text)), "CRC-64-AVRO"))


def encode(record: Record) -> bytes:
    """The record's bytes, ready for Kafka.

    Raises:
        TypeError, ValueError, OverflowError: a member is not what the schema holds.
    """
    today = _today(type(record))
    out = [today.header]
    try:
        today.write(record, out)
        return b"".join(out)
    except (AttributeError, struct.error) as error:
        raise TypeError(f"A member of {type(record).__name__} has a wrong type: {error}") from error
    except KeyError as error:
        raise ValueError(f"The schema of {type(record).__name__} has no {error}.") from error


def decode(data: bytes | bytearray | memoryview | None, expected: type[R]) -> R:
    """The record in `data`.

    Raises:
        UnreadableRecord: with `code` `empty_record`, `not_single_object`, `unknown_schema`,
            `wrong_schema` or `corrupt_record`.
    """
    if not isinstance(data, bytes):
        data = bytes(data or b"")
    wanted: Any = expected  # a member of Record, which mypy does not see of R's bound
    today = _today(wanted)
    read = today.read if data.startswith(today.header) else _other(data, wanted)
    record: R
    try:
        record, end = read(data, HEADER_BYTES)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise _unfit(error) from error
    if end != len(data):
        raise _ends_elsewhere(len(data) - end)
    return record


def glancing(at: type[G]) -> Callable[[bytes | None], G]:
    """What glances (`avro_code.glancing`) at one record after another: it answers what `decode`
    reads, of every record that `decode` reads. Others it may not tell from those: most of the bytes
    it does not look at.

    It raises `UnreadableRecord` with a `code` as of `decode`.
    """
    header, read, narrow = _glanced(at)

    def look(data: bytes | None) -> G:
        if data is None or not data.startswith(header):
            found: G = narrow(decode(data, at.of))  # type: ignore[attr-defined]
            return found
        try:
            found, end = read(data, HEADER_BYTES)
        except (ValueError, IndexError) as error:
            raise _unfit(error) from error
        if end > len(data):
            raise _ends_elsewhere(len(data) - end)
        return found

    return look


def retelling(record: type[Record], instead: Instead) -> Callable[[bytes], Any]:
    """A `decode` of such records that makes something else of classes that `instead` names
    (`avro_code.retelling`). It raises what `decode` raises, for the same bytes."""
    header = _today(record).header
    read = compiled_retelling(json.loads(schema_text(record)), record, _HABITS, instead)

    def told(data: bytes) -> Any:
        if not data.startswith(header):
            return retold(decode(data, record), instead)
        try:
            found, end = read(data, HEADER_BYTES)
        except (ValueError, IndexError, struct.error) as error:
            raise _unfit(error) from error
        if end != len(data):
            raise _ends_elsewhere(len(data) - end)
        return found

    return told


def _other(data: bytes, expected: type[Record]) -> Read:
    """The reader of data that is not of today's schema of what is expected."""
    header = data[:HEADER_BYTES]
    known = _todays().get(header) or _released().get(header)
    if known is None:
        raise _unknown(data)
    if known.record is not expected:
        raise UnreadableRecord(
            f"This is a {known.record.__name__}, not a {expected.__name__}.",
            code="wrong_schema",
        )
    return known.read


def _unfit(error: Exception) -> UnreadableRecord:
    return UnreadableRecord(
        f"The datum does not fit its schema: {type(error).__name__}: {error}",
        code="corrupt_record",
    )


def _ends_elsewhere(left: int) -> UnreadableRecord:
    what = f"{left} bytes follow the datum." if left > 0 else "The datum ends early."
    return UnreadableRecord(what, code="corrupt_record")


def _unknown(data: bytes) -> UnreadableRecord:
    """Why no reader answers to the header of `data`."""
    if not data:
        return UnreadableRecord("The record has no value.", code="empty_record")
    if data[:2] != MARKER or len(data) < HEADER_BYTES:
        return UnreadableRecord(
            "The value is not in Avro single-object encoding.",
            code="not_single_object",
            cure="Write C3 01, the schema's CRC-64-AVRO fingerprint, then the datum.",
        )
    return UnreadableRecord(
        f"No schema with fingerprint {data[2:HEADER_BYTES].hex()} is known here.",
        code="unknown_schema",
        cure="Upgrade this process, or write with a released schema.",
    )


def _earlier(record: type[Record], writer: Any) -> Read:
    """A reader of an earlier schema: fastavro resolves it against today's."""
    reader = _with_bytes(fastavro.parse_schema(json.loads(schema_text(record))))
    union = _UNION_FIELD.get(record)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        body = BytesIO(data)
        body.seek(at)
        datum: Any = fastavro.schemaless_reader(
            body, writer, reader, return_record_name=True, return_record_name_override=True
        )
        if union is not None:
            datum[union] = _tagged(datum[union])
        return msgspec.convert(datum, record, builtin_types=(bytes,)), body.tell()

    return read


def _with_bytes(schema: Any) -> Any:
    """A parsed schema whose defaults of `bytes` are such: JSON has text, a code point for each
    byte, and fastavro would hand out that."""
    if isinstance(schema, list):
        return [_with_bytes(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _with_bytes(part) for name, part in schema.items()}
    if schema.get("type") == "bytes" and isinstance(schema.get("default"), str):
        changed["default"] = schema["default"].encode("latin-1")
    return changed


def _tagged(union: Any) -> Any:
    if isinstance(union, list):
        return [_tagged(item) for item in union]
    name, datum = union
    datum["-type"] = name
    return datum


def _folder() -> Any:
    return resources.files("symphainy_schemas") / "avro"


class _Today(msgspec.Struct, frozen=True):
    """Today's schema of a record."""

    header: bytes
    read: Read
    write: Write


@cache
def _today(record: type[Record]) -> _Today:
    text = schema_text(record)
    return _Today(MARKER + schema_fingerprint(text), *compiled(json.loads(text), record, _HABITS))


@cache
def _glanced(at: type) -> tuple[bytes, Read, Narrow]:
    record: type[Record] = at.of  # type: ignore[attr-defined]
    return _today(record).header, *compiled_glance(json.loads(schema_text(record)), at, _HABITS)


@cache
def _todays() -> dict[bytes, _Known]:
    """A reader of every schema of today, by the header of its records' bytes."""
    return {_today(record).header: _Known(record, _today(record).read) for record in SCHEMA_FILES}


@cache
def _released() -> dict[bytes, _Known]:
    """The same for every released schema; `avro/released/<name>.<n>.avsc` holds them.

    Apart, because few processes meet an earlier one, and parsing them is a quarter of what a
    process waits for before its first record.
    """
    known: dict[bytes, _Known] = {}
    for record, name in SCHEMA_FILES.items():
        for old in sorted((_folder() / "released").glob(f"{name}.*.avsc")):
            text = old.read_text()
            writer = fastavro.parse_schema(json.loads(text))
            known[MARKER + schema_fingerprint(text)] = _Known(record, _earlier(record, writer))
    return known
