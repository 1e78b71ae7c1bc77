"""Whether what a plan passes on can be what a contract (JSON Schema, as pydantic writes it) asks.

Only what is certain is said. A place of which nothing is known may hold anything, and values,
formats and bounds are left to whoever validates the real payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symphainy_schemas import templates

_DEPTH = 64  # of references to references: a model that is only itself says nothing
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})


@dataclass(frozen=True, slots=True)
class Shape:
    """A place in a JSON Schema."""

    node: Mapping[str, Any]
    root: Mapping[str, Any]

    @staticmethod
    def of(schema: Mapping[str, Any]) -> Shape:
        """The whole of a schema."""
        return Shape(schema, schema)

    def alternatives(self, depth: int = 0) -> list[Shape]:
        """The places that may stand here, references followed."""
        node = self.node
        if depth > _DEPTH or "allOf" in node:
            return [self._sub({})]
        if "$ref" in node:
            name = str(node["$ref"]).rpartition("/")[2]
            return self._sub(self.root.get("$defs", {}).get(name, {})).alternatives(depth + 1)
        either = [*node.get("anyOf", ()), *node.get("oneOf", ())]
        if not either:
            return [self]
        return [one for each in either for one in self._sub(each).alternatives(depth + 1)]

    def within(self, part: str) -> Shape | None:
        """What stands under one part of a pointer; None if nothing can."""
        node = self.node
        types = _types_of(node)
        if types is not None and types <= _SCALARS:
            return None
        if types == {"object"}:
            properties = node.get("properties")
            if properties is not None and part in properties:
                return self._maybe(properties[part])
            # A pydantic model that does not say otherwise gives its own fields and no others.
            return self._maybe(node.get("additionalProperties", properties is None))
        return self._item(part) if types == {"array"} else ANYTHING

    def _item(self, part: str) -> Shape | None:
        if not part.isdecimal() or int(part) >= self.node.get("maxItems", int(part) + 1):
            return None
        first = self.node.get("prefixItems", [])
        return self._maybe(first[int(part)]) if int(part) < len(first) else self.item

    @property
    def item(self) -> Shape | None:
        """What a list may hold; None for nothing."""
        return self._maybe(self.node.get("items", True))

    def field(self, name: str) -> Shape | None:
        """What a payload may have under a name; None if the contract forbids it."""
        properties = self.node.get("properties", {})
        return self._maybe(properties.get(name, self.node.get("additionalProperties", True)))

    def _maybe(self, node: Any) -> Shape | None:
        """A schema may also be False, which allows nothing, or True for anything."""
        return None if node is False else self._sub(node if isinstance(node, Mapping) else {})

    def _sub(self, node: Mapping[str, Any]) -> Shape:
        return Shape(node, self.root)


Shapes = Sequence[Shape]
"""What may stand somewhere; none if that is unknown."""
ANYTHING = Shape({}, {})


def reached(shapes: Shapes, pointer: str) -> list[Shape]:
    """The places at a JSON pointer; none if nothing can stand there."""
    found = [one for shape in shapes for one in shape.alternatives()]
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        inner = (shape.within(name) for shape in found)
        found = [one for shape in inner if shape is not None for one in shape.alternatives()]
    return found


def misfit(template: Any, wanted: Shape, sources: Mapping[str, Shapes], at: str = "") -> str:
    """Why a template cannot be what is wanted; empty if it may."""
    if isinstance(template, dict) and templates.FROM in template:
        source, pointer = template[templates.FROM], template[templates.AT]
        known = sources.get(source, ())
        found = reached(known, pointer) if known else [ANYTHING]
        stated = source == templates.PAYLOAD
        why = [_no_match(found, one, stated=stated) for one in wanted.alternatives()]
        if "" in why and stated and _left_out(known, pointer, wanted):
            why = [f"{_IS}null where the payload leaves it out: defaults are not there"]
    else:
        why = [_no_value(template, one, sources, at) for one in wanted.alternatives()]
    if not why or "" in why:
        return ""
    # Of several alternatives, what is wrong inside one says more than that it is another's type.
    first = next((one for one in why if not one.startswith(_IS)), why[0])
    return f"{at or 'the input'} {first}" if first.startswith((_IS, _LACKS)) else first


_IS, _LACKS = "is ", "lacks "


def _left_out(payload: Shapes, pointer: str, wanted: Shape) -> bool:
    """Whether a place of the payload may be null where that is not wanted: its model has a default,
    but the payload comes as it was stated."""
    wants = [_types_of(one.node) for one in wanted.alternatives()]
    if any(types is None or "null" in types for types in wants):
        return False
    way, _, last = pointer.rpartition("/")
    if not pointer or not _optional(reached(payload, way), last):
        return False
    return all("null" not in (_types_of(s.node) or {"null"}) for s in reached(payload, pointer))


def _optional(objects: Shapes, name: str) -> bool:
    """Whether a contract has a field, but does not require it."""
    plain = name.replace("~1", "/").replace("~0", "~")
    having = [one.node for one in objects if plain in one.node.get("properties", {})]
    return bool(having) and all(plain not in node.get("required", ()) for node in having)


def _no_match(found: Shapes, wanted: Shape, *, stated: bool) -> str:
    """Why none of the places found can be the one alternative; `stated`: they are of a payload,
    which has no fields but those that were stated."""
    want = _types_of(wanted.node)
    if want is None:
        return ""
    have: set[str] = set()
    for one in found:
        types = _types_of(one.node)
        if types is None:
            return ""
        have |= types
    if have == {"null"} or not have:
        return ""
    if not any(_allows(want, one) or (one == "number" and "integer" in want) for one in have):
        return f"{_IS}{_words(have - {'null'})}, and {_words(want)} is wanted"
    objects = [one for one in found if "object" in (_types_of(one.node) or ())]
    required = wanted.node.get("required", ()) if objects else ()
    missing = [
        name
        for name in required
        if not reached(objects, f"/{_escaped(name)}")
        or (stated and _optional(objects, _escaped(name)))
    ]
    return f"{_LACKS}the required {', '.join(missing)}" if missing else ""


def _no_value(template: Any, wanted: Shape, sources: Mapping[str, Shapes], at: str) -> str:
    """Why a literal, which may hold references, cannot be the one alternative."""
    node = wanted.node
    if "enum" in node or "const" in node:
        allowed = node.get("enum", [node.get("const")])
        if not isinstance(template, dict | list) and template not in allowed:
            return f"{_IS}{template!r}, and one of {allowed!r} is wanted"
    want = _types_of(node)
    if want is not None and not _allows(want, _type_of(template)):
        return f"{_IS}{_words([_type_of(template)])}, and {_words(want)} is wanted"
    if isinstance(template, dict):
        missing = [name for name in node.get("required", ()) if name not in template]
        if missing:
            return f"{_LACKS}the required {', '.join(missing)}"
        return next(filter(None, _in_object(template, wanted, sources, at)), "")
    if isinstance(template, list):
        inner = ANYTHING if "prefixItems" in node else wanted.item
        whys = (
            misfit(one, inner, sources, f"{at}/{number}")
            for number, one in enumerate(template)
            if inner is not None
        )
        return next(filter(None, whys), "")
    return ""


def _in_object(
    template: dict[str, Any], wanted: Shape, sources: Mapping[str, Shapes], at: str
) -> Iterator[str]:
    for name, value in template.items():
        inner, place = wanted.field(name), f"{at}/{_escaped(name)}"
        if inner is None:
            yield f"{place} is no field of the contract"
        else:
            yield misfit(value, inner, sources, place)


def _types_of(node: Mapping[str, Any]) -> set[str] | None:
    """The types that a place may have; None if it may be anything."""
    stated = node.get("type")
    if isinstance(stated, str):
        return {stated}
    if isinstance(stated, list):
        return set(stated)
    if "enum" in node or "const" in node:
        return {_type_of(value) for value in node.get("enum", [node.get("const")])}
    return None


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _allows(want: set[str], have: str) -> bool:
    return have in want or (have == "integer" and "number" in want)


def _words(types: Sequence[str] | set[str]) -> str:
    return " or ".join(f"an {t}" if t[0] in "aio" else f"a {t}" for t in sorted(types))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
