"""Invariants of the generated readers and writers.

- A record class that does not mirror its schema has none.
- Numbers of every length have fastavro's bytes, and are read from them.
- Arrays and maps are read in whatever blocks they come; strings in whatever bytes they come.
- A recurring record is read once, and only where its very bytes stand; what is remembered is
  bounded.
- What fails inside generated code shows its line.
"""

from __future__ import annotations

import io
import struct
import traceback
from enum import StrEnum
from typing import Any

import fastavro
import pytest
from msgspec import Struct
from tests.samples import JOURNAL, SAMPLES

from symphainy_schemas import codec
from symphainy_schemas.avro_code import Habits, binary, compiled
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Empty(Struct, frozen=True):
    pass


class One(Struct, frozen=True):
    x: int


class Other(Struct, frozen=True):
    y: str


def schema_of(name: str, **types: Any) -> dict[str, Any]:
    fields = [{"name": field, "type": type_} for field, type_ in types.items()]
    return {"type": "record", "name": name, "namespace": "t", "fields": fields}


COLOUR = {"type": "enum", "name": "Colour", "namespace": "t", "symbols": ["red", "blue"]}
ONE = schema_of("One", x="long")
MAP = {"type": "map", "values": ONE}
ARRAY = {"type": "array", "items": "bytes"}


def made(type_: Any, hint: Any, *times: str) -> tuple[binary.Read, binary.Write]:
    """Reader and writer of a record with one field."""
    record = type("Holder", (Struct,), {"__annotations__": {"held": hint}}, frozen=True)
    return compiled(schema_of("Holder", held=type_), record, Habits(times=frozenset(times)))


def holding(value: Any) -> Any:
    return type("Any", (), {"held": value})


MIRRORED = [
    ("long", int, 7),
    ("int", int, -7),
    ("string", str, "é"),
    ("bytes", bytes, b"\xff"),
    ("boolean", bool, True),
    ("double", float, 0.5),
    (["null", "string"], str | None, None),
    (["null", "string"], str | None, "x"),
    (COLOUR, Colour, Colour.BLUE),
    (ONE, One, One(1)),
    ([ONE, schema_of("Other", y="string")], One | Other, Other("x")),
    ([schema_of("Empty"), ONE], Empty | One, Empty()),
    ({"type": "array", "items": "long"}, tuple[int, ...], (1, 2)),
    ({"type": "array", "items": MAP}, tuple[dict[str, One], ...], ({"a": One(3)},)),
    ({"type": "map", "values": ARRAY}, dict[str, tuple[bytes, ...]], {"a": (b"b", b"")}),
]


@pytest.mark.parametrize(("type_", "hint", "value"), MIRRORED, ids=repr)
def test_whatever_mirrors_its_schema_is_read_as_it_was_written(
    type_: Any, hint: Any, value: Any
) -> None:
    read, write = made(type_, hint)
    out: list[bytes] = []
    write(holding(value), out)
    written = b"".join(out)
    record, end = read(b"before" + written + b"after", 6)
    assert (record.held, end) == (value, 6 + len(written))


@pytest.mark.parametrize(
    ("type_", "hint"),
    [
        ("long", str),
        ("string", int | None),
        ("float", float),
        (["null", "string"], str),
        (["null", "string"], str | int | None),
        (["string", "null"], str | None),
        (COLOUR, StrEnum("Colour", ["red"])),
        (COLOUR, StrEnum("Colour", ["red", "blue", "green"])),
        (COLOUR, StrEnum("Color", ["red", "blue"])),
        (COLOUR, str),
        (ONE, Other),
        (schema_of("One", y="long"), One),
        (schema_of("One", x="long", y="long"), One),
        ("t.One", One),
        ([ONE, schema_of("Other", y="string")], One | Empty),
        ([ONE, schema_of("Other", y="string")], One),
        ({"type": "array", "items": "long"}, list[int]),
        ({"type": "array", "items": "long"}, tuple),
        ({"type": "array", "items": "long"}, tuple[str, ...]),
        ({"type": "array", "items": schema_of("Empty")}, tuple[Empty, ...]),
        ({"type": "map", "values": "long"}, dict[str, str]),
        ({"type": "map", "values": "long"}, tuple[int, ...]),
    ],
    ids=repr,
)
def test_what_does_not_mirror_its_schema_has_no_code(type_: Any, hint: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        made(type_, hint)


@pytest.mark.parametrize("times", [(), ("held",)], ids=["long", "time"])
def test_numbers_near_every_border_have_fastavros_bytes(times: tuple[str, ...]) -> None:
    read, write = made("long", int, *times)
    borders = [0, *(sign * 2**n for n in range(64) for sign in (1, -1))]
    for number in sorted({border + d for border in borders for d in range(-3, 4)}):
        if -(2**63) <= number < 2**63:
            reference, out = io.BytesIO(), list[bytes]()
            fastavro.schemaless_writer(reference, "long", number)
            write(holding(number), out)
            assert b"".join(out) == reference.getvalue()
            for after in (b"\x00\x00", b"\x00\x00", b""):  # what is read again may be remembered
                record, end = read(reference.getvalue() + after, 0)
                assert (record.held, end) == (number, len(reference.getvalue()))


def test_every_byte_but_0_is_true_as_it_is_for_fastavro() -> None:
    read, _ = made("boolean", bool)
    for byte in range(256):
        data = bytes((byte,))
        assert read(data, 0)[0].held is fastavro.schemaless_reader(
            io.BytesIO(data), "boolean", None
        )


def in_blocks(*blocks: tuple[bytes, ...], sizes: bool) -> bytes:
    """An array or map of items, in blocks, with the blocks' sizes or without."""
    out = b""
    for block in blocks:
        count = -len(block) if sizes else len(block)
        size = binary.long_bytes(len(b"".join(block))) if sizes else b""
        out += binary.long_bytes(count) + size + b"".join(block)
    return out + b"\0"


@pytest.mark.parametrize("sizes", [True, False])
def test_arrays_and_maps_are_read_in_any_blocks(sizes: bool) -> None:
    read, _ = made({"type": "array", "items": "long"}, tuple[int, ...])
    items = [binary.long_bytes(n) for n in range(200)]
    datum = in_blocks(tuple(items[:1]), tuple(items[1:3]), tuple(items[3:]), sizes=sizes)
    assert read(datum, 0)[0].held == tuple(range(200))
    read, _ = made({"type": "map", "values": "string"}, dict[str, str])
    datum = in_blocks((b"\x02a\x02b", b"\x02c\x02d"), (b"\x02e\x02f", b"\x02a\x02g"), sizes=sizes)
    assert read(datum, 0)[0].held == {"a": "g", "c": "d", "e": "f"}


@pytest.mark.parametrize(
    ("type_", "hint", "datum"),
    [
        ("string", str, b"\x01"),
        ("string", str, b"\x81\x01"),
        ("string", str, b"\x04\xc3\x28"),
        ("long", int, b"\x80" * 10 + b"\x00"),
        ("long", int, b"\x80" * 10 + b"\x01"),
        ("long", int, b"\xff" * 9 + b"\x02"),
        ("boolean", bool, b""),
        ("double", float, b"\0" * 7),
        (COLOUR, Colour, b"\x01"),
        (COLOUR, Colour, b"\x04"),
        (COLOUR, Colour, b"\x84\x00"),
        (["null", "long"], int | None, b"\x01\x00"),
        (["null", "long"], int | None, b"\x04\x00"),
        ([ONE, schema_of("Other", y="string")], One | Other, b"\x01\x02"),
        ([ONE, schema_of("Other", y="string")], One | Other, b"\x04\x02"),
        ([ONE, schema_of("Other", y="string")], One | Other, b"\x84\x00\x02"),
        ({"type": "array", "items": "long"}, tuple[int, ...], b"\xfe\xff\xff\xff\x0f\x02\x00"),
        ({"type": "array", "items": "long"}, tuple[int, ...], b"\xff" * 9 + b"\x01\x00\x00"),
        ({"type": "array", "items": "long"}, tuple[int, ...], b"\x02\x02"),
    ],
    ids=repr,
)
def test_bytes_that_do_not_fit_are_refused(type_: Any, hint: Any, datum: bytes) -> None:
    read, _ = made(type_, hint)
    with pytest.raises((ValueError, IndexError, struct.error)):
        read(datum, 0)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_bytes_are_decoded(kind: Any) -> None:
    for sample in SAMPLES.values():
        assert codec.decode(kind(codec.encode(sample)), type(sample)) == sample
    with pytest.raises(UnreadableRecord):
        codec.decode(kind(b""), JournalRecord)


def counted(bytes_each: int) -> tuple[binary.Read, list[int]]:
    """A remembering reader of records of so many bytes, and where it had to look closer."""
    looked: list[int] = []

    def read(data: bytes, at: int) -> tuple[Any, int]:
        looked.append(at)
        return data[at : at + bytes_each].upper(), at + bytes_each

    return binary.recurring_read(read), looked


def test_a_recurring_record_is_read_once_and_only_where_its_bytes_stand() -> None:
    read, looked = counted(40)
    like, unlike = b"a" * 40, b"a" * 39 + b"b"
    data = like + unlike + unlike + like
    found = [read(data, at) for at in (0, 40, 80, 120, 120)]
    assert found == [(data[at : at + 40].upper(), at + 40) for at in (0, 40, 80, 120, 120)]
    assert looked == [0, 40]


def test_of_records_that_begin_alike_the_newest_are_remembered() -> None:
    read, looked = counted(40)
    data = b"".join(b"a" * 30 + b"%010d" % n for n in range(20))
    for at in (*range(0, 800, 40), *range(760, 400, -40), 0):
        assert read(data, at) == (data[at : at + 40].upper(), at + 40)
    assert looked == [*range(0, 800, 40), 440, 0]


def test_a_recurring_record_that_ends_early_is_not_remembered() -> None:
    read, looked = counted(40)
    assert read(b"a" * 30, 0) == (b"A" * 30, 40)
    assert read(b"a" * 30, 0) == (b"A" * 30, 40)
    assert read(b"a" * 50, 0) == (b"A" * 40, 40)
    assert looked == [0, 0, 0]


def test_what_is_remembered_is_bounded() -> None:
    read, looked = counted(8)
    for _ in range(2):
        for n in range(3_000):
            read(b"%08d" % n, 0)
    assert len(looked) > 3_000
    long, looked = counted(10_000)
    long(b"a" * 10_000, 0)
    long(b"a" * 10_000, 0)
    assert looked == [0, 0]
    for ms in range(1_790_000_000_000, 1_790_000_020_000):
        written = binary.time_bytes(ms)
        assert written == binary.long_bytes(ms)
        assert binary.time(written, 0) == (ms, 6)
        assert len(binary.TIMES) <= 8_192 >= len(binary.TIME_BYTES)


def test_a_failure_shows_the_line_of_generated_code() -> None:
    encoded = codec.encode(JOURNAL)
    with pytest.raises(UnreadableRecord) as caught:
        codec.decode(encoded[:-100], JournalRecord)
    shown = "".join(traceback.format_exception(caught.value))
    assert "in read_JournalRecord" in shown
    assert "(data, at + 1)" in shown
