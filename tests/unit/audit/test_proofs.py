"""Proofs of inclusion.

- Every record that counts, under any checkpoints, is proven by what the store keeps alone.
- A proof in which anything was altered is refused, and so is one of another auditor.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.histories import (
    PARTITION,
    SIGNER,
    evidence_of,
    history,
    numbered,
    segments_of,
)

from symphainy_runtime.audit.notes import SignerKey
from symphainy_runtime.audit.proofs import ProofRefused, check_proof, prove

VALUES = history([1, 2, 3, 0, 9, 4, 5, 6, 7, 8, 1, 2, 0, 3, 4, 5, 6])
KEYS = [SIGNER.verifier]


def proof_of(ends: set[int]) -> bytes:
    """Of all records that checkpoints with these ends cover, and that count."""
    segments = list(segments_of(evidence_of(numbered(VALUES), sorted(ends))))
    placed = [
        (segment, offset)
        for segment in segments
        if segment.leaves is not None
        for offset in range(segment.checkpoint.start, segment.checkpoint.end)
        if segment.leaves.counted(offset)
    ]
    return msgspec.json.encode(prove(PARTITION, "exe", placed))


@settings(deadline=None)  # other tests share the cores
@given(st.sets(st.integers(1, len(VALUES)), min_size=1))
def test_every_record_that_counts_is_proven(ends: set[int]) -> None:
    proof = check_proof(proof_of(ends), KEYS)
    stale = 5
    assert [one.offset for one in proof.records] == [n for n in range(max(ends)) if n != stale]


def altered(change: str, value: Any) -> bytes:
    """A proof whose third record says something else."""
    told = msgspec.json.decode(proof_of({4, 11, 18}))
    record = told["records"][2]
    assert record[change] != value
    record[change] = value
    return msgspec.json.encode(told)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("offset", 3),
        ("offset", -1),
        ("term", 1),
        ("seq", 3),
        ("index", 3),
        ("index", 2**70),
        ("checkpoint", 1),
        ("checkpoint", 9),
        ("sha256", "00" * 32),
        ("sha256", "zz"),
        ("path", []),
        ("path", ["00" * 32, "00" * 32]),
    ],
)
def test_an_altered_proof_is_refused(change: str, value: Any) -> None:
    with pytest.raises(ProofRefused):
        check_proof(altered(change, value), KEYS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"partition":3', b'"partition":4'),
        (b"symphainy-inclusion-1", b"symphainy-inclusion-2"),
        (b"number 1", b"number 2"),
        (b"{", b"["),
    ],
)
def test_an_altered_frame_is_refused(old: bytes, new: bytes) -> None:
    content = proof_of({4, 11, 18})
    assert old in content
    with pytest.raises(ProofRefused):
        check_proof(content.replace(old, new, 1), KEYS)


def test_another_auditors_proof_is_refused() -> None:
    with pytest.raises(ProofRefused, match="no known key"):
        check_proof(proof_of({4}), [SignerKey("auditor.test", b"o" * 32).verifier])


def test_what_does_not_count_is_not_proven() -> None:
    segments = list(segments_of(evidence_of(numbered(VALUES), [8])))
    with pytest.raises(LookupError, match="offset 5 does not count"):
        prove(PARTITION, "exe", [(segments[0], 5)])
