"""Invariants of the generated codec, with fastavro as the reference.

- Any record is written with fastavro's bytes, and those bytes are read to an equal record.
- Any bytes are read as fastavro reads them, or refused as it refuses them; what fastavro takes
  against Avro's specification is refused too, and nothing else.
- A member that fastavro cannot write is refused; one that it can write has its bytes.
- What was read or written before changes nothing: memories are bounded, and exact.
"""

from __future__ import annotations

import io
import json
import types
from collections.abc import Collection
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import fastavro
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.samples import SAMPLES

from symphainy_schemas import codec
from symphainy_schemas.errors import UnreadableRecord

RECORDS = sorted(codec.SCHEMA_FILES, key=lambda record: record.__name__)
TEXT = st.text(max_size=6) | st.sampled_from(["x" * n for n in (63, 64, 8_191, 8_192)])
LONG = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-70, 70)
    | st.integers(1_790_000_000_000, 1_790_000_000_050)
    | st.sampled_from([s * (2**n + d) for n in range(63) for d in (-1, 0, 1) for s in (1, -1)])
)
DOUBLE = st.floats(allow_nan=False).map(lambda x: x or 0.0)
UNTIMED = settings(deadline=None)  # the first record of a class compiles its functions
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bytes: st.binary(max_size=6) | st.sampled_from([b"x" * n for n in (63, 64, 8_191, 8_192)]),
    int: LONG,
    bool: st.booleans(),
    float: DOUBLE,
    types.NoneType: st.none(),
}
# What Avro's specification refuses and fastavro takes: it drops bits, counts from the end, and
# cannot negate the least long.
STRICTER = (
    "A number takes more than 64 bits.",
    "has no symbol -",
    "has no branch -",
    "A block counts more items than bytes are left.",
)


@cache
def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a member's type."""
    if hint in SCALARS:
        return SCALARS[hint]
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(*map(values, get_args(hint)), max_size=3)
    if get_args(hint):
        return st.one_of([values(one) for one in get_args(hint)])
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return st.builds(hint, **{name: values(of) for name, of in get_type_hints(hint).items()})


@cache
def schema_of(name: str) -> Any:
    (record,) = (record for record in RECORDS if record.__name__ == name)
    return json.loads(codec.schema_text(record))


@cache
def parsed(name: str) -> Any:
    return fastavro.parse_schema(schema_of(name))


def datum_of(value: Any, schema: Any) -> Any:
    """What fastavro takes for a value; a branch of a union by its name, lest it look for one."""
    match schema:
        case list() if isinstance(value, msgspec.Struct):
            (branch,) = (one for one in schema if name_of(one) == type(value).__name__)
            return f"symphainy.{type(value).__name__}", datum_of(value, branch)
        case {"type": "record", "fields": fields}:
            return {f["name"]: datum_of(getattr(value, f["name"]), f["type"]) for f in fields}
        case {"type": "array", "items": items}:
            return [datum_of(item, items) for item in value]
        case {"type": "map"}:
            return value
        case {"type": "enum"}:
            return value.value
    if isinstance(value, msgspec.Struct):  # named by an earlier schema
        return msgspec.structs.asdict(value)
    return value


def name_of(schema: Any) -> str:
    name: str = schema["name"] if isinstance(schema, dict) else schema.removeprefix("symphainy.")
    return name


def written_by_fastavro(record: codec.Record) -> bytes:
    out = io.BytesIO()
    schema = schema_of(type(record).__name__)
    fastavro.schemaless_writer(out, parsed(type(record).__name__), datum_of(record, schema))
    return out.getvalue()


def read_by_fastavro(datum: bytes, expected: type[codec.Record]) -> Any:
    data = io.BytesIO(datum)
    found: Any = fastavro.schemaless_reader(
        data,
        schema_of(expected.__name__),
        None,
        return_record_name=True,
        return_record_name_override=True,
    )
    assert data.tell() == len(datum)
    if expected.__name__ == "JournalRecord":
        found["events"] = [{**event, "-type": name} for name, event in found["events"]]
    if expected.__name__ == "State":
        name, body = found["body"]
        found["body"] = {**body, "-type": name}
    return msgspec.convert(found, expected, builtin_types=(bytes,))


HEADERS = {r: codec.MARKER + codec.schema_fingerprint(codec.schema_text(r)) for r in RECORDS}


def outcome(read: Any, *given: Any) -> Any:
    """What it answers, or what it raises."""
    try:
        return read(*given)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        return error


def assert_read_alike(datum: bytes, expected: type[codec.Record]) -> None:
    theirs = outcome(read_by_fastavro, datum, expected)
    ours = outcome(codec.decode, HEADERS[expected] + datum, expected)
    if isinstance(ours, UnreadableRecord):
        assert ours.code == "corrupt_record"
        stricter = any(reason in ours.message for reason in STRICTER)
        assert isinstance(theirs, Exception) or stricter, (ours, theirs)
    else:
        assert repr(ours) == repr(theirs)  # a repr tells NaN, the sign of zero and an int's type


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@UNTIMED
@given(data=st.data())
def test_any_record_has_fastavros_bytes(record: type[codec.Record], data: st.DataObject) -> None:
    value = data.draw(values(record))
    encoded = codec.encode(value)
    assert encoded == HEADERS[record] + written_by_fastavro(value)
    assert codec.decode(encoded, record) == value == read_by_fastavro(encoded[10:], record)


@st.composite
def damaged(draw: st.DrawFn, record: type[codec.Record]) -> bytes:
    """A written record in which some bytes are others, more or fewer."""
    sample = st.sampled_from([one for one in SAMPLES.values() if type(one) is record])
    datum = bytearray(codec.encode(draw(sample | values(record)))[codec.HEADER_BYTES :])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(datum)))
        replaced = draw(st.integers(0, 3))
        datum[at : at + replaced] = draw(ODD_BYTES)
    return bytes(datum)


ODD_BYTES = st.binary(max_size=3) | st.sampled_from(
    [
        b"\x01",  # -1: a length, a count, an index
        b"\x80\x00",  # 0 in two bytes
        b"\x82\x00",  # 1 in two bytes
        b"\x81\x00",  # -1 in two bytes
        b"\x01\x00",  # a block of one item, with its size
        b"\xff" * 9 + b"\x01",  # the least long
        b"\xfe" + b"\xff" * 8 + b"\x01",  # the greatest
        b"\xff" * 9 + b"\x03",  # more than 64 bits
        b"\x80" * 10 + b"\x00",  # more than 10 bytes
        b"\x80" * 9 + b"\x00",  # 0 in 10 bytes
        b"\xfe\xff\xff\xff\x0f",  # 2**31 - 1
        b"\x04\xc3\x28",  # a string that is not UTF-8
    ]
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@UNTIMED
@given(data=st.data())
def test_damaged_bytes_are_read_as_fastavro_reads_them(
    record: type[codec.Record], data: st.DataObject
) -> None:
    assert_read_alike(data.draw(damaged(record)), record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@UNTIMED
@given(datum=st.lists(ODD_BYTES, max_size=60).map(b"".join))
@example(datum=b"\x80" * 100_000)
@example(datum=b"\x00" * 100_000)
def test_garbage_is_read_as_fastavro_reads_it(record: type[codec.Record], datum: bytes) -> None:
    assert_read_alike(datum, record)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_record_that_ends_early_is_corrupt_wherever_it_ends(sample: codec.Record) -> None:
    encoded = codec.encode(sample)
    for end in range(codec.HEADER_BYTES, len(encoded)):
        with pytest.raises(UnreadableRecord) as caught:
            codec.decode(encoded[:end], type(sample))
        assert caught.value.code == "corrupt_record"


OTHERS: list[Any] = [2**63, -(2**63) - 1, 2**63 - 1, 1.0, 9e9, 1.79e12, "x", "\ud800", b"x", None]
OTHERS += [True, 7, [], [7], {}, {"x": "y"}, {"x": 7}, {7: 7}, (None,), object(), types]


def fits(value: Any, hint: Any) -> bool:
    """Whether a member of type `hint` can be written with this value."""
    if get_origin(hint) is tuple:
        many = isinstance(value, Collection)  # what it holds counts, not which collection it is
        return many and all(fits(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) is dict:
        pairs = value.items() if isinstance(value, dict) else [] if value == [] else [(None, None)]
        return all(
            fits(x, of) for pair in pairs for x, of in zip(pair, get_args(hint), strict=True)
        )
    if get_args(hint):
        return any(fits(value, one) for one in get_args(hint))
    if hint is int:
        return isinstance(value, int) and -(2**63) <= value < 2**63
    if hint is str:
        return isinstance(value, str) and value.isascii()
    if hint in (float, bool):  # 0, 1 and 1.0 are booleans, and numbers are doubles, by Python
        return isinstance(value, int | float) and (hint is float or value in (False, True))
    return isinstance(value, hint)


def swapped(value: Any, hint: Any, other: Any) -> list[tuple[Any, Any]]:
    """The value, each time with `other` for one of its members at any depth, and its type."""
    if isinstance(value, tuple):
        return [
            ((*value[:at], one, *value[at + 1 :]), of)
            for at, item in enumerate(value)
            for one, of in [*swapped(item, type(item), other), (other, get_args(hint)[0])]
        ]
    if isinstance(value, dict):
        return [({key: other}, get_args(hint)[1]) for key in value]
    if not isinstance(value, msgspec.Struct):
        return []
    return [
        (msgspec.structs.replace(value, **{name: one}), of)
        for name, hint in get_type_hints(type(value)).items()
        for one, of in [*swapped(getattr(value, name), hint, other), (other, hint)]
    ]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_member_is_written_if_and_only_if_the_schema_holds_it(sample: codec.Record) -> None:
    codec.encode(sample)  # what is remembered must not let an equal value of another type pass
    for other in OTHERS:
        for record, hint in swapped(sample, type(sample), other):
            written = outcome(codec.encode, record)
            if fits(other, hint):
                assert written == HEADERS[type(sample)] + written_by_fastavro(record)
            else:
                assert isinstance(written, TypeError | ValueError | OverflowError), record
