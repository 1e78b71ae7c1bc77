"""What a schema and the frozen record that mirrors it say together, as one tree.

Everything that must hold between the two is checked here, once a process: the same members, the
same types, a symbol for each member of an enum. This module knows Avro schemas and Python types;
it knows no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import NoneType
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

T = TypeVar("T")
Kind = Literal["string", "bytes", "long", "time", "boolean", "double"]


class Scalar(Struct, frozen=True):
    """One value; a `time` is a long that is likely to recur, in ms since the epoch."""

    kind: Kind


class Symbols(Struct, frozen=True):
    """An enum's members in the order of the schema's symbols."""

    name: str
    members: tuple[Enum, ...]


class Maybe(Struct, frozen=True):
    """Null or a value."""

    of: Shape


class Items(Struct, frozen=True):
    """An array; each item takes a byte or more, so that a count promises no more than it has."""

    of: Shape


class Entries(Struct, frozen=True):
    """A map from strings."""

    of: Shape


class Unread(Struct, frozen=True):
    """A value that a glance passes over."""

    of: Shape


class First(Struct, frozen=True):
    """Of an array of a union's records: the first one's class, or None if there is none."""

    of: OneOf


class OneOf(Struct, frozen=True):
    """A union of records."""

    branches: tuple[Members, ...]


class Members(Struct, frozen=True):
    """A record: its class, and its fields in the schema's order."""

    record: type
    fields: tuple[tuple[str, Shape], ...]

    @property
    def name(self) -> str:
        """Name of the class, and of the schema."""
        return self.record.__name__


Shape: TypeAlias = Scalar | Symbols | Maybe | Items | Entries | OneOf | Members | Unread | First

_SCALARS: Mapping[str, tuple[Kind, type]] = {
    "string": ("string", str),
    "bytes": ("bytes", bytes),
    "int": ("long", int),
    "long": ("long", int),
    "boolean": ("boolean", bool),
    "double": ("double", float),
}


def shape_of(schema: Any, record: type, times: frozenset[str]) -> Members:
    """The tree of a record's schema, given as JSON; fields named in `times` hold times.

    Raises:
        TypeError: schema and record disagree, or the schema holds what no record here has.
    """
    return _Shaping(times).record(schema, record)


class _Shaping:
    def __init__(self, times: frozenset[str]) -> None:
        self._times = times
        self._known: dict[str, Members] = {}

    def record(self, schema: Any, record: type) -> Members:
        full = f"{schema['namespace']}.{schema['name']}"
        hints = get_type_hints(record)
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        if schema["name"] != record.__name__ or fields.keys() != hints.keys():
            raise TypeError(f"{record.__name__} does not mirror the schema of {full}.")
        shape = Members(
            record, tuple((name, self._field(name, fields[name], hints[name])) for name in fields)
        )
        self._known[full] = shape
        return shape

    def _field(self, name: str, schema: Any, hint: Any) -> Shape:
        shape = self._shape(schema, hint)
        if name in self._times and shape == Scalar("long"):
            return Scalar("time")
        return shape

    def _shape(self, schema: Any, hint: Any) -> Shape:
        match schema:
            case str() if schema in _SCALARS:
                kind, python = _SCALARS[schema]
                return Scalar(_agreed(kind, hint is python, schema, hint))
            case str() if schema in self._known:
                known = self._known[schema]
                return _agreed(known, hint is known.record, schema, hint)
            case ["null", inner]:
                (other,) = _agreed(_others(hint), len(_others(hint)) == 1, schema, hint)
                return Maybe(self._shape(inner, other))
            case list():
                return self._one_of(schema, hint)
            case {"type": "record"}:
                return self.record(schema, hint)
            case {"type": "enum", "name": name, "symbols": symbols}:
                return _agreed(
                    Symbols(name, tuple(hint(symbol) for symbol in symbols)),
                    len(hint) == len(symbols) and hint.__name__ == name,
                    schema,
                    hint,
                )
            case {"type": "array", "items": items}:
                item, _ = _arguments(tuple, schema, hint)
                return _items(self._shape(items, item))
            case {"type": "map", "values": values}:
                _, value = _arguments(dict, schema, hint)
                return Entries(self._shape(values, value))
        raise TypeError(f"No record here holds {schema}.")

    def _one_of(self, schema: Any, hint: Any) -> OneOf:
        classes = {one.__name__: one for one in get_args(hint)}
        names = [branch["name"] for branch in schema]
        _agreed(None, sorted(names) == sorted(classes), names, hint)
        return OneOf(tuple(self.record(one, classes[one["name"]]) for one in schema))


def _items(of: Shape) -> Items:
    if isinstance(of, Members) and not of.fields:
        raise TypeError(f"An array of {of.name} would have items of no bytes.")
    return Items(of)


def _arguments(origin: type, schema: Any, hint: Any) -> tuple[Any, Any]:
    one, two = _agreed(get_args(hint), get_origin(hint) is origin, schema, hint)
    return one, two


def _others(hint: Any) -> tuple[Any, ...]:
    return tuple(one for one in get_args(hint) if one is not NoneType)


def _agreed(shape: T, agreed: bool, schema: Any, hint: Any) -> T:
    if not agreed:
        raise TypeError(f"{hint} does not mirror {schema}.")
    return shape
