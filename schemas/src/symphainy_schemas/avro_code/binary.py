"""Avro's binary primitives, as the generated code calls them; it knows no schema and no record.

A reader takes the bytes and an index into them, and answers what it found and the index behind it.
An index past the end raises `IndexError`; a slice past the end comes out short and leaves the index
beyond it, where the next read or the caller's last look finds out: so no slice is checked by
itself. Source: Apache Avro specification, "Binary encoding".

Tables and small memories stand in for arithmetic: with CPython 3.11 a shift and a mask cost more
than a list's item (measured: a 6-byte long takes 0.7 µs by a loop, 0.13 µs when it is remembered).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

Read = Callable[[bytes, int], tuple[Any, int]]
Write = Callable[[Any, list[bytes]], None]

_MOST_BYTES: Final = 10
_LEAST, _MOST = -(2**63), 2**63 - 1
_TIME_BYTES: Final = 6
"""What a time takes, in ms since the epoch, from July 1970 to September 2039."""
_MOST_TIMES: Final = 8_192
_MOST_RECURRING: Final = 1_024
_MOST_RECURRING_BYTES: Final = 512
"""What is remembered at most, then forgotten at once: 8 s of times, less than 2 MB of records."""
_KEY_BYTES: Final = 24
_MOST_ALIKE: Final = 8
"""Records of the same first bytes, the newest first: decisions under one version of policies."""

_DOUBLE = Struct("<d")
double = _DOUBLE.unpack_from
double_bytes = _DOUBLE.pack


class Malformed(ValueError):
    """Bytes that no writer of this schema writes."""


LONG: list[int | None] = [(n >> 1) ^ -(n & 1) for n in range(128)] + [None] * 128
"""A long by its first byte; None if more bytes follow."""

SPAN = [0 if n & 1 or n > 127 else 1 + (n >> 1) for n in range(256)]
"""What a string or bytes take with their length, by its first byte; 0 if that does not tell."""

TIMES: dict[bytes, int] = {}
"""Times by their bytes. No long's bytes begin another's, so equal bytes are the whole time."""

_FIRST = [None if n & 1 or n < 128 else (n & 127) >> 1 for n in range(256)]
_SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH = (
    [(n & 127) << shift for n in range(256)] for shift in (6, 13, 20, 27, 34)
)


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits in base 128, least significant group first.

    Raises:
        Malformed: it takes more than 64 bits or 10 bytes.
    """
    value = 0
    for shift in range(0, 7 * _MOST_BYTES, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                break
            return value, at
    raise Malformed("A number takes more than 64 bits.")


def long(data: bytes, at: int) -> tuple[int, int]:
    """A long of any length, by tables if it is not negative and takes 2 to 6 bytes."""
    value = _FIRST[data[at]]
    if value is None:
        return _any_long(data, at)
    byte = data[at + 1]
    value += _SECOND[byte]
    if byte < 128:
        return value, at + 2
    byte = data[at + 2]
    value += _THIRD[byte]
    if byte < 128:
        return value, at + 3
    byte = data[at + 3]
    value += _FOURTH[byte]
    if byte < 128:
        return value, at + 4
    byte = data[at + 4]
    value += _FIFTH[byte]
    if byte < 128:
        return value, at + 5
    byte = data[at + 5]
    value += _SIXTH[byte]
    return (value, at + 6) if byte < 128 else _any_long(data, at)


def _any_long(data: bytes, at: int) -> tuple[int, int]:
    value, at = unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def time(data: bytes, at: int) -> tuple[int, int]:
    """A long that `TIMES` did not hold; it holds it from here on, if it is a time's length."""
    value, end = long(data, at)
    if end - at == _TIME_BYTES:
        if len(TIMES) >= _MOST_TIMES:
            TIMES.clear()
        TIMES[data[at:end]] = value
    return value, end


def span(data: bytes, at: int) -> tuple[int, int]:
    """Where a string or bytes start and end, whatever their length."""
    length, at = long(data, at)
    if length < 0:
        raise Malformed("A length is negative.")
    return at, at + length


def block(data: bytes, at: int) -> tuple[int, int]:
    """Twice the number of items in the next block of an array or map; after 0 comes none. A
    negative number's size in bytes follows it, which helps only a reader that skips the block."""
    twice, at = unsigned(data, at)
    if twice & 1:
        _, at = unsigned(data, at)
        twice += 1
    if twice >> 1 > len(data) - at:
        raise Malformed("A block counts more items than bytes are left.")
    return twice, at


def symbol(data: bytes, at: int, members: Sequence[Any]) -> tuple[Any, int]:
    """An enum's member, whatever its index takes."""
    index, at = long(data, at)
    if not 0 <= index < len(members):
        raise Malformed(f"The enum has no symbol {index}.")
    return members[index], at


def _even(choices: Sequence[Any], byte: int) -> Any:
    """What an index of one byte chooses: the byte is twice the index."""
    return choices[byte >> 1] if not byte & 1 and byte < min(128, 2 * len(choices)) else None


def by_byte(members: Sequence[Any]) -> list[Any]:
    """An enum's members by the byte that stands for each; else None."""
    return [_even(members, byte) for byte in range(256)]


THERE = by_byte((False, True))
"""Whether a value follows, in a union of null and another, by the index; None if unclear."""


def present(data: bytes, at: int) -> tuple[bool, int]:
    """What `THERE` says, whatever the index takes."""
    index, at = long(data, at)
    if index not in (0, 1):
        raise Malformed(f"The union has no branch {index}.")
    return index == 1, at


def branches(readers: Sequence[Read]) -> list[Read]:
    """A union's readers by the byte that stands for each; each starts behind that byte."""

    def any_branch(data: bytes, at: int) -> tuple[Any, int]:
        index, at = long(data, at - 1)
        if not 0 <= index < len(readers):
            raise Malformed(f"The union has no branch {index}.")
        return readers[index](data, at)

    return [_even(readers, byte) or any_branch for byte in range(256)]


def recurring_read(read: Read) -> Read:
    """`read`, for records that recur: by the first bytes it knows which few are likely.

    No record's bytes begin another's, so those of a known record are that record, to its end.
    """
    known: dict[bytes, list[tuple[bytes, Any]]] = {}
    count = 0

    def read_known(data: bytes, at: int) -> tuple[Any, int]:
        nonlocal count
        key = data[at : at + _KEY_BYTES]
        alike = known.get(key)
        if alike is not None:
            for whole, record in alike:
                if data.startswith(whole, at):
                    return record, at + len(whole)
        record, end = read(data, at)
        if end <= len(data) and end - at <= _MOST_RECURRING_BYTES:
            if count >= _MOST_RECURRING:
                known.clear()
                count = 0
            alike = known.setdefault(key, [])
            if len(alike) < _MOST_ALIKE:
                count += 1
            else:
                alike.pop()
            alike.insert(0, (data[at:end], record))
        return record, end

    return read_known


_CONTINUED = [bytes((n << 1 & 127 | 128, n >> 6 | 128)) for n in range(1 << 13)]
_LAST = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14)]

SMALL = _LAST[::2] + _LAST[127:0:-2]
"""The bytes of a long from -64 to 8,191: a list counts its negative indexes from the end."""

BOOLEAN = {False: b"\0", True: b"\1"}
"""The byte of a boolean."""

TIME_BYTES: dict[int, bytes] = {}
"""The bytes of times."""


def long_bytes(value: int) -> bytes:
    """The bytes of a long, by tables from 8,192 to 2,199,023,255,551, where times lie.

    Raises:
        OverflowError: it takes more than 64 bits.
    """
    if 8_192 <= value < 1 << 27:
        return _CONTINUED[value & 8_191] + _LAST[value >> 13]
    if 1 << 27 <= value < 1 << 41:
        third, fourth = value >> 13 & 127 | 128, value >> 20 & 127 | 128
        return _CONTINUED[value & 8_191] + bytes((third, fourth)) + _LAST[value >> 27]
    if not _LEAST <= value <= _MOST:
        raise OverflowError(f"{value} takes more than 64 bits.")
    rest = value << 1 ^ value >> 63
    groups = bytearray()
    while rest > 127:
        groups.append(rest & 127 | 128)
        rest >>= 7
    groups.append(rest)
    return bytes(groups)


def time_bytes(value: int) -> bytes:
    """The bytes of a long that `TIME_BYTES` did not hold; it holds them from here on."""
    made = long_bytes(value)
    if len(TIME_BYTES) >= _MOST_TIMES:
        TIME_BYTES.clear()
    TIME_BYTES[value] = made
    return made
