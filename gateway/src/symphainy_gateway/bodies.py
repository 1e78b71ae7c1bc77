"""Request bodies: read under a limit, taken only as JSON that every later reader can hold.

Bounded here, before anything is built from the bytes: size, nesting, NUL characters, integers
beyond 64 bits, lone surrogates, NaN. Nothing here knows an intent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from starlette.types import Receive

from symphainy_gateway.problems import Refused, Violation

T = TypeVar("T")
Headers = Mapping[bytes, bytes]
# Far above what people write; well under the recursion limits of the parsers that come later
# (Python's is 1,000 frames, jsonschema's and DuckDB's are lower).
DEPTH_MAX: Final = 64
# As slow as a modem of 1995; who is slower holds a place that others want.
PACE_BYTES: Final = 4_096
PATIENCE_S: Final = 20.0
_JSON_TYPE = re.compile(rb'application/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE)
_NDJSON_TYPE = re.compile(
    rb'application/(x-ndjson|ndjson|jsonl)[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE
)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")


def require_json(headers: Headers) -> None:
    """Raises `Refused` unless the body is declared as uncompressed JSON in UTF-8."""
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _JSON_TYPE.fullmatch(content_type):
        raise _unsupported(content_type, "application/json")
    _require_identity(headers)


def require_ndjson(headers: Headers) -> None:
    """Raises `Refused` unless the body is declared as uncompressed NDJSON in UTF-8."""
    content_type = headers.get(b"content-type", b"")
    if not _NDJSON_TYPE.fullmatch(content_type):
        raise _unsupported(content_type, "application/x-ndjson")
    _require_identity(headers)


async def read(
    receive: Receive, headers: Headers, limit: int, patience_s: float = PATIENCE_S
) -> bytes:
    """The body, at most `limit` bytes, whether its length was declared or it comes in chunks. It
    may take `patience_s`, and a second more for each `PACE_BYTES` that came.

    Raises:
        Refused: it is larger, or came too slowly, or the client left.
    """
    declared = headers.get(b"content-length")
    length = -1 if declared is None else int(declared) if len(declared) < 16 else limit + 1
    if length > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(patience_s) as patience:
            return await _read(receive, length, limit, patience)
    except TimeoutError as error:
        raise Refused(
            "The body came too slowly.",
            code="body_too_slow",
            cure=f"Send it within {patience_s:g} s, and 1 s more for each {PACE_BYTES} bytes.",
            headers=((b"connection", b"close"),),
        ) from error


async def _read(receive: Receive, length: int, limit: int, patience: asyncio.Timeout) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if len(body) == length:
        return body  # granian would tell of the end in a message of its own
    if message.get("more_body", False):
        body = await _rest(receive, body, limit, patience)
    elif message["type"] == "http.disconnect":
        raise _left()
    if len(body) > limit:
        raise _too_large(limit)
    return body


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The value in `body`.

    Raises:
        Refused: with code `malformed_json`, or `invalid_request` where the JSON is well-formed
            but nested too deep or holds what cannot be kept.
        msgspec.ValidationError: the value is not of the decoder's type.
    """
    _check_depth(body)
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(
            f"The body is not JSON in UTF-8: {error}",
            code="malformed_json",
            cure="Send one JSON object in UTF-8, without NaN, Infinity or lone surrogates.",
        ) from error
    if b"\\u0000" in body and _NUL.search(body):
        raise invalid("", "NUL characters (\\u0000) are not taken.")
    return value


def encode_object(value: Mapping[str, Any], field: str) -> bytes:
    """The object's canonical bytes: what is hashed, and what the log holds.

    Raises:
        Refused: it holds an integer beyond 64 bits, which most readers cannot hold.
    """
    try:
        msgspec.msgpack.encode(value)  # MessagePack ends at 64 bits, and says so in C
    except OverflowError as error:
        raise invalid(field, "Integers beyond 64 bits are not taken.") from error
    return msgspec.json.encode(value)


def invalid(field: str, message: str) -> Refused:
    """The refusal of a body for one thing that is wrong with it."""
    violation = Violation(field, message)
    return Refused(message, code="invalid_request", field=field, errors=(violation,))


async def _rest(receive: Receive, first: bytes, limit: int, patience: asyncio.Timeout) -> bytes:
    began = patience.when() or 0.0
    chunks = [first]
    size = len(first)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _left()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        patience.reschedule(began + size / PACE_BYTES)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _check_depth(body: bytes) -> None:
    """Refuse nesting beyond `DEPTH_MAX`, at the speed of `bytes.replace`.

    A body with no more opening brackets than that cannot nest deeper. Of any other only brackets
    outside of strings are kept; each pass then removes the innermost level everywhere.
    """
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = unescaped.translate(None, _NOT_STRUCTURE)
    levels = _STRING.sub(b"", marks).translate(_TO_BRACKETS)
    for _ in range(DEPTH_MAX):
        levels = levels.replace(b"[]", b"")
    if b"[" in levels:
        raise invalid("", f"The body nests deeper than {DEPTH_MAX} levels, or is not balanced.")


def _require_identity(headers: Headers) -> None:
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise Refused(
            "The body is compressed.",
            code="unsupported_media_type",
            cure="Send it without Content-Encoding.",
        )


def _unsupported(content_type: bytes, wanted: str) -> Refused:
    stated = content_type[:80].decode("latin-1") or "nothing"
    return Refused(
        f"Content-Type states {stated}.",
        code="unsupported_media_type",
        cure=f"Send {wanted} in UTF-8.",
    )


def _too_large(limit: int) -> Refused:
    return Refused(
        f"The body has more than {limit} bytes.",
        code="body_too_large",
        cure="Store large data as an artifact and pass its reference.",
    )


def _left() -> Refused:
    return Refused("The request ended before its body was complete.", code="client_disconnected")
