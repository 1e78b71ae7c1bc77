"""Kafka's segment files, edited by hand: batches in record format 2, with a fitting CRC32C.

Source: Apache Kafka documentation, "Record Batch" and "Record". Nothing is compressed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

_HEAD = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, CRC
_BODY = struct.Struct(">hiqqqhii")  # attributes … record count: what the CRC begins with


def _table() -> list[int]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        found.append(byte)
    return found


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), as of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Batch:
    """A batch: its first offset, what stands in its head, and its records' offsets and values."""

    base: int
    epoch: int
    body: tuple[int, ...]
    records: tuple[tuple[int, bytes], ...]

    @property
    def offsets(self) -> set[int]:
        """Where its records stand."""
        return {offset for offset, _ in self.records}

    def with_records(self, records: list[tuple[int, bytes]]) -> Batch:
        """The batch with other records, in order of their offsets."""
        return replace(self, base=records[0][0], records=tuple(records))

    def encoded(self) -> bytes:
        """As it stands in a file, CRC and lengths fitting."""
        attributes, _, first_at, last_at, producer, producer_epoch, sequence, _ = self.body
        last_delta = self.records[-1][0] - self.base
        body = _BODY.pack(
            attributes,
            last_delta,
            first_at,
            last_at,
            producer,
            producer_epoch,
            sequence,
            len(self.records),
        )
        body += b"".join(_record(offset - self.base, value) for offset, value in self.records)
        length = len(body) + 9
        return _HEAD.pack(self.base, length, self.epoch, 2, crc32c(body)) + body


def parse(data: bytes) -> list[Batch]:
    """The batches of a file."""
    found, at = [], 0
    while at < len(data):
        base, length, epoch, magic, crc = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + 12 + length]
        assert magic == 2
        assert crc32c(body) == crc
        head = _BODY.unpack_from(body)
        assert head[0] & 0b111 == 0, "compressed"
        records, place = [], _BODY.size
        for _ in range(head[-1]):
            delta, value, place = _read_record(body, place)
            records.append((base + delta, value))
        found.append(Batch(base, epoch, head, tuple(records)))
        at += 12 + length
    return found


def edit(folder: Path, change: Callable[[list[Batch]], list[Batch]]) -> None:
    """Change a partition's only segment. Its indexes are removed, so that Kafka makes them anew."""
    (path,) = folder.glob("*.log")
    batches = change(parse(path.read_bytes()))
    path.write_bytes(b"".join(batch.encoded() for batch in batches))
    for index in (*folder.glob("*.index"), *folder.glob("*.timeindex")):
        index.unlink()


def values_of(batches: list[Batch]) -> list[tuple[int, bytes]]:
    """All records."""
    return [record for batch in batches for record in batch.records]


def with_values(batches: list[Batch], values: dict[int, bytes]) -> list[Batch]:
    """The batches with other values at some offsets."""
    return [
        batch.with_records([(offset, values.get(offset, old)) for offset, old in batch.records])
        for batch in batches
    ]


def _record(delta: int, value: bytes) -> bytes:
    """Without key and headers."""
    body = b"\x00" + _varint(0) + _varint(delta) + _varint(-1) + _varint(len(value)) + value
    body += _varint(0)
    return _varint(len(body)) + body


def _read_record(body: bytes, at: int) -> tuple[int, bytes, int]:
    length, at = _read_varint(body, at)
    end = at + length
    _, at = _read_varint(body, at + 1)  # behind the attributes: the time's difference
    delta, at = _read_varint(body, at)
    key, at = _read_varint(body, at)
    at += max(key, 0)
    size, at = _read_varint(body, at)
    return delta, body[at : at + size], end


def _varint(number: int) -> bytes:
    left = number << 1 ^ number >> 63
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes(out) + bytes([left])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    left = shift = 0
    while True:
        left |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return left >> 1 ^ -(left & 1), at
