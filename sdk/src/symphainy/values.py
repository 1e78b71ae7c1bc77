"""Values to JSON and back: what handlers, steps and events may hand over. Pure.

JSON types, pydantic models and what pydantic can turn into JSON (datetimes, UUIDs, decimals,
dataclasses, enums) and references. Raw bytes are refused: records hold references, never data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from symphainy.errors import ContractViolation
from symphainy.reference import reference_parts
from symphainy_schemas import records

NULL = b"null"
_BYTES = (bytes, bytearray, memoryview)


def to_json(value: object, what: str) -> bytes:
    """`value` as JSON, UTF-8; `what` names it in the error.

    Raises:
        ContractViolation: `raw_bytes` or `not_json`.
    """
    if value is None:
        return NULL
    try:
        if isinstance(value, BaseModel):
            return value.model_dump_json().encode()
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise ContractViolation(
            f"{what} cannot be written as JSON: {error}",
            code="not_json",
            cure="Hand over JSON values or a pydantic model.",
        ) from error
    except _RawBytes as error:
        raise ContractViolation(
            f"{what} holds raw bytes.",
            code="raw_bytes",
            cure="Store them with ctx.artifacts.put(…) and hand over the reference.",
        ) from error


def check_size(data: bytes, limit: int, what: str, code: str) -> bytes:
    """`data`, if it has at most `limit` bytes.

    Raises:
        ContractViolation: with `code`.
    """
    if len(data) > limit:
        raise ContractViolation(
            f"{what} has {len(data)} bytes as JSON; the inline limit is {limit}.",
            code=code,
            cure="Store it with ctx.artifacts.put(…) and hand over the reference.",
        )
    return data


class _RawBytes(Exception):
    """Bytes were met where JSON was expected."""


def _plain(value: Any) -> Any:
    """What JSON has for a value that is none of its own types."""
    if isinstance(value, records.Reference):
        return reference_parts(value)
    if isinstance(value, _BYTES):
        raise _RawBytes
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    return to_jsonable_python(value, fallback=_nested)


def _nested(value: Any) -> Any:
    """What pydantic meets inside a foreign value and does not know."""
    if isinstance(value, records.Reference):
        return reference_parts(value)
    raise TypeError(f"{type(value).__name__} is no JSON type")


_encode = json.JSONEncoder(
    default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode
