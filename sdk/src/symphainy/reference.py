"""A reference that handlers put into payloads, results and steps: JSON outside, a record inside.

The JSON form is {"uri", "sha256" (hex), "size", "media_type"}, so that a payload model may
declare a field of this type and a step may return one.
"""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from symphainy_schemas import records


class Reference(records.Reference, frozen=True):
    """Where an artifact lies, and what it must hash to. `sha256` is 32 bytes, `size` in bytes."""

    @classmethod
    def of(cls, reference: records.Reference) -> Reference:
        """The same reference, as the SDK hands it out."""
        return cls(reference.uri, reference.sha256, reference.size, reference.media_type)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate from JSON or an instance, serialise to the JSON form."""
        hexadecimal = core_schema.str_schema(pattern="^[0-9a-f]{64}$")
        parts = core_schema.typed_dict_schema(
            {
                "uri": core_schema.typed_dict_field(core_schema.str_schema(pattern="^artifact://")),
                "sha256": core_schema.typed_dict_field(hexadecimal),
                "size": core_schema.typed_dict_field(core_schema.int_schema(ge=0)),
                "media_type": core_schema.typed_dict_field(core_schema.str_schema()),
            }
        )
        from_parts = core_schema.no_info_after_validator_function(_from_parts, parts)
        from_record = core_schema.no_info_after_validator_function(
            cls.of, core_schema.is_instance_schema(records.Reference)
        )
        return core_schema.json_or_python_schema(
            json_schema=from_parts,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), from_record, from_parts]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                reference_parts, return_schema=parts
            ),
        )


def reference_parts(reference: records.Reference) -> dict[str, Any]:
    """The JSON form of a reference."""
    return {
        "uri": reference.uri,
        "sha256": reference.sha256.hex(),
        "size": reference.size,
        "media_type": reference.media_type,
    }


def _from_parts(parts: dict[str, Any]) -> Reference:
    return Reference(
        parts["uri"], bytes.fromhex(parts["sha256"]), parts["size"], parts["media_type"]
    )
