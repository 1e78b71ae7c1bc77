"""The Merkle tree of RFC 6962 section 2.1 (unchanged in RFC 9162 section 2.1), over SHA-256.

A leaf's hash is SHA-256(00 ‖ data), a node's SHA-256(01 ‖ left ‖ right): nobody can pass a node off
as a leaf. Of a growing tree only its peaks are kept, the roots of the perfect trees that it is made
of, largest first: "compact range" in the literature, at most 64 hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
_CHUNK = 256
Node = Callable[[int, int], "bytes | None"]
"""The hash of the perfect subtree over the leaves [low, high), where it is known."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 section 2.1: the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1: the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """A tree to which leaves are added at its end, kept as its peaks."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Go on from a tree of `size` leaves.

        Raises:
            ValueError: a tree of that size has another number of peaks.
        """
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of its perfect subtrees, largest first."""
        return tuple(self._peaks)

    def add(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        peaks, size, top = self._peaks, self.size, leaf
        while size & 1:
            top = sha256(b"\x01" + peaks.pop() + top).digest()
            size >>= 1
        peaks.append(top)
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves' hashes, perfect subtrees at a time: half the time of adding each alone."""
        at = 0
        while at < len(leaves) and (self.size & _CHUNK - 1 or len(leaves) - at < _CHUNK):
            self.add(leaves[at])
            at += 1
        while len(leaves) - at >= _CHUNK:
            self._push(_perfect(leaves[at : at + _CHUNK]), _CHUNK)
            at += _CHUNK
        for leaf in leaves[at:]:
            self.add(leaf)

    def _push(self, top: bytes, count: int) -> None:
        """Add the root of a perfect subtree of `count` leaves, which divides the size."""
        size = self.size // count
        while size & 1:
            top = node_hash(self._peaks.pop(), top)
            size >>= 1
        self._peaks.append(top)
        self.size += count

    def root(self) -> bytes:
        """The tree's hash, MTH in RFC 6962."""
        return root_of(self._peaks)


def _perfect(level: Sequence[bytes]) -> bytes:
    """The root over leaves whose number is a power of two."""
    while len(level) > 1:
        pairs = iter(level)
        level = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
    return level[0]


def root_of(peaks: Sequence[bytes]) -> bytes:
    """The hash of a tree, from its peaks, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def spans(size: int) -> list[tuple[int, int]]:
    """Which leaves [low, high) stand under each peak of a tree of `size` leaves."""
    found, low = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            found.append((low, low + (1 << bit)))
            low += 1 << bit
    return found


def audit_path(index: int, size: int, known: Node) -> list[bytes]:
    """RFC 6962 section 2.1.1: the hashes that lead from leaf `index` to the root of `size` leaves,
    lowest first. `known` answers for what stands beside the path, or for its parts.

    Raises:
        ValueError: there is no such leaf.
        LookupError: a hash is neither known nor made of known ones.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(middle, high, known))
            high = middle
        else:
            path.append(_subtree(low, middle, known))
            low = middle
    return path[::-1]


def root_by_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """RFC 9162 section 2.1.3.2: the root that `path` leads to from the leaf; None if a path of that
    length cannot be one of leaf `index` of `size`."""
    if not 0 <= index < size:
        return None
    node, last, root = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(beside, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, beside)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(low: int, high: int, known: Node) -> bytes:
    found = known(low, high)
    if found is not None:
        return found
    if high - low == 1:
        raise LookupError(f"the hash of leaf {low} is not known")
    middle = low + _split(high - low)
    return node_hash(_subtree(low, middle, known), _subtree(middle, high, known))
