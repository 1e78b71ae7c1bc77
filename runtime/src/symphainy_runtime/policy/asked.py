"""What policies ask of a request: so much of it decides, and the rest cannot change the answer.

A decision costs Cedar a quarter of a millisecond and is a pure function of what is asked, so it is
remembered by that. What is asked is read off the policies' own trees (Cedar's JSON form): the
attributes that they name, and the entities. Where a tree is not understood, everything is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

Tree = dict[str, Any]
WHOLE: Final = "*"
"""Stands for a value that is asked as it is. A tree in its place: only these members of it."""
_ROOTS = ("principal", "resource", "context")
_COMPARISONS = ("==", "!=", "in")


class Asked(Struct, frozen=True):
    """Which members are asked, by root, and which entities are named."""

    members: Mapping[str, Any]
    named: frozenset[tuple[str, str]]

    def whole(self, root: str) -> bool:
        """Whether the root itself is asked, not only members of it."""
        return self.members[root] is WHOLE


def asked_of(policies: Iterable[Any]) -> Asked:
    """What these policies ask, each in Cedar's JSON form."""
    members: dict[str, Any] = {root: {} for root in _ROOTS}
    named: set[tuple[str, str]] = set()
    for policy in policies:
        named.update(_entities(policy))
        for condition in policy["conditions"]:
            for root, path, whole in _accesses(condition["body"]):
                members[root] = _with(members[root], path, whole)
    return Asked(members, frozenset(named))


def only(value: Any, asked: Any) -> Any:
    """So much of a JSON value as is asked."""
    if asked is WHOLE:
        return value
    if isinstance(value, dict):
        return {name: only(value[name], below) for name, below in asked.items() if name in value}
    return value if asked else True  # no more than that it is there


def _with(tree: Any, path: tuple[str, ...], whole: bool) -> Any:
    if tree is WHOLE or (not path and whole):
        return WHOLE
    if path:
        tree[path[0]] = _with(tree.get(path[0], {}), path[1:], whole)
    return tree


def _entities(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for part in node:
            yield from _entities(part)
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str):
            yield node["type"], node["id"]
        for part in node.values():
            yield from _entities(part)


def _accesses(node: Any) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """(root, path, whether the value is asked, or only whether it is there)."""
    if isinstance(node, list):
        for part in node:
            yield from _accesses(part)
        return
    if not isinstance(node, dict):
        return
    if (chain := _chain(node)) is not None:
        if chain[0] in _ROOTS:
            yield *chain, True
        return
    has = node.get("has")
    chain = (
        _chain(has["left"]) if isinstance(has, dict) and isinstance(has.get("attr"), str) else None
    )
    if has is not None and chain is not None:
        if chain[0] in _ROOTS:
            yield chain[0], (*chain[1], has["attr"]), False
        return
    for name, part in node.items():
        yield from _accesses(_unless_named(name, part))


def _chain(node: Any) -> tuple[str, tuple[str, ...]] | None:
    """The root and the path of `root.a.b`; None if it is something else."""
    path: list[str] = []
    while isinstance(node, dict):
        if "Var" in node:
            return node["Var"], tuple(reversed(path))
        access = node.get(".")
        if not isinstance(access, dict) or not isinstance(access.get("attr"), str):
            return None
        path.append(access["attr"])
        node = access["left"]
    return None


def _unless_named(operator: str, operands: Any) -> Any:
    """The operands without an entity that is compared with named ones only: of those it is known
    whether it is one of them."""
    if operator == "is" and isinstance(operands, dict):
        return {**operands, "left": None} if _is_entity(operands.get("left")) else operands
    if operator not in _COMPARISONS or not isinstance(operands, dict):
        return operands
    left, right = operands.get("left"), operands.get("right")
    if _is_entity(left) and _is_literal(right):
        return None
    if _is_entity(right) and _is_literal(left) and operator != "in":
        return None
    return operands


def _is_entity(node: Any) -> bool:
    return isinstance(node, dict) and node.get("Var") in ("principal", "resource", "action")


def _is_literal(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    if "Set" in node:
        return all(_is_literal(part) for part in node["Set"])
    value = node.get("Value")
    return isinstance(value, dict) and "__entity" in value
