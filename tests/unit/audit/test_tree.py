"""The tree is the one of RFC 6962.

- Roots are those of Certificate Transparency's own test data (certificate-transparency-go, merkle).
- However leaves are added, and wherever one goes on from peaks, the root is the definition's.
- A path leads from its leaf to the root, and from nothing else.
"""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphainy_runtime.audit.tree import (
    EMPTY_ROOT,
    GrowingTree,
    audit_path,
    leaf_hash,
    root_by_path,
    root_of,
    spans,
)

INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined(leaves: list[bytes]) -> bytes:
    """MTH, word for word as RFC 6962 section 2.1 has it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined(leaves[:k]) + defined(leaves[k:])).digest()


def numbered(count: int) -> list[bytes]:
    """As many leaves' hashes."""
    return [leaf_hash(n.to_bytes(4)) for n in range(count)]


def test_roots_are_those_of_certificate_transparency() -> None:
    tree = GrowingTree()
    assert tree.root() == EMPTY_ROOT
    for data, root in zip(INPUTS, ROOTS, strict=True):
        tree.add(leaf_hash(bytes.fromhex(data)))
        assert tree.root().hex() == root


@settings(deadline=None)  # other tests share the cores
@given(st.lists(st.integers(0, 700), max_size=5))
def test_leaves_may_be_added_in_any_portions(portions: list[int]) -> None:
    leaves = numbered(sum(portions))
    tree, at = GrowingTree(), 0
    for portion in portions:
        tree = GrowingTree(tree.size, tree.peaks)
        tree.extend(leaves[at : at + portion])
        at += portion
    assert (tree.size, tree.root()) == (len(leaves), defined(leaves))


def test_a_tree_has_a_peak_for_each_bit_of_its_size() -> None:
    with pytest.raises(ValueError, match="a tree of 5 leaves has 2 peaks"):
        GrowingTree(5, [b"x" * 32])
    assert spans(13) == [(0, 8), (8, 12), (12, 13)]
    assert root_of(()) == EMPTY_ROOT


@settings(deadline=None)  # other tests share the cores
@given(size=st.integers(1, 300), index=st.integers(0, 299), other=st.integers(0, 299))
def test_a_path_leads_from_its_leaf_alone(size: int, index: int, other: int) -> None:
    index, other = index % size, other % size
    leaves = numbered(size)
    path = audit_path(index, size, lambda low, high: leaves[low] if high - low == 1 else None)
    assert root_by_path(index, size, leaves[index], path) == defined(leaves)
    if other != index:
        assert root_by_path(other, size, leaves[index], path) != defined(leaves)
        assert root_by_path(index, size, leaves[other], path) != defined(leaves)
    assert root_by_path(index, size, leaves[index], [*path, leaves[0]]) is None
    if path:
        assert root_by_path(index, size, leaves[index], path[:-1]) is None


def test_there_is_no_path_to_what_is_not_there() -> None:
    assert root_by_path(3, 3, b"", []) is None
    with pytest.raises(ValueError, match="no leaf 3"):
        audit_path(3, 3, lambda low, high: b"")
    with pytest.raises(LookupError, match="leaf 1 is not known"):
        audit_path(0, 2, lambda low, high: None)
