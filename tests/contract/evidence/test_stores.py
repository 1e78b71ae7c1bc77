"""What every store of evidence promises, a folder and an object store alike.

- What was kept is given back, whole or anywhere in it; a name is written once.
- Names are listed under their prefix alone; what is not there is None, and lists as nothing.
- A checkpoint is kept with its list of hashes, and a try that ended in between does no harm.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.histories import IDENTITY, PARTITION, evidence_of, history, numbered

from symphainy_runtime.audit.store import (
    AlreadyKept,
    Evidence,
    EvidenceStore,
    EvidenceUnavailable,
    FolderStore,
    open_store,
)

KEPT = evidence_of(numbered(history([1, 2, 3, 4, 5])), [2, 6])


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    return open_store(
        (tmp_path / "deep/evidence").as_uri() if request.param == "folder" else "memory:///"
    )


def test_what_is_kept_is_given_back_and_stays(store: EvidenceStore) -> None:
    assert store.get("a/b/1") is None
    store.put("a/b/1", b"one")
    with pytest.raises(AlreadyKept):
        store.put("a/b/1", b"two")
    assert store.get("a/b/1") == b"one"


def test_an_object_is_read_anywhere_in_it(store: EvidenceStore) -> None:
    content = bytes(range(256)) * 100
    store.put("a/b/1", content)
    with store.open("a/b/1") as opened:
        assert opened.seek(0, 2) == len(content)
        for start, length in ((20_000, 300), (0, 4), (len(content) - 5, 100)):
            opened.seek(start)
            assert opened.read(length) == content[start : start + length]
    with pytest.raises(EvidenceUnavailable):
        store.open("a/b/2")


def test_names_are_listed_under_their_prefix(store: EvidenceStore) -> None:
    assert list(store.names("a")) == []
    for name in ("a/b/1", "a/b/2", "a/bc/3", "d"):
        store.put(name, b"x")
    assert sorted(store.names("a/b")) == ["a/b/1", "a/b/2"]
    assert sorted(store.names("a")) == ["a/b/1", "a/b/2", "a/bc/3"]
    assert store.groups("a") == {"b", "bc"}
    assert store.groups("a/b") == store.groups("x") == set()


def test_checkpoints_are_kept_in_order_with_their_lists(store: EvidenceStore) -> None:
    evidence = Evidence(store)
    assert evidence.last(IDENTITY, PARTITION) is None
    for one in KEPT:
        assert one.leaves is not None
        evidence.keep(IDENTITY, PARTITION, one.number, one.note, one.leaves)
    assert list(evidence.kept(IDENTITY, PARTITION)) == KEPT
    last = evidence.last(IDENTITY, PARTITION)
    assert last is not None
    assert (last.number, last.note) == (1, KEPT[1].note)
    assert list(evidence.kept(IDENTITY, PARTITION + 1)) == []
    assert evidence.topic_ids(IDENTITY) == {"topic-id"}


def test_a_try_that_ended_before_its_checkpoint_does_no_harm(store: EvidenceStore) -> None:
    evidence = Evidence(store)
    first, second = KEPT
    assert first.leaves is not None
    assert second.leaves is not None
    store.put(f"{IDENTITY}/{PARTITION}/0000000000.{'0' * 16}.leaves", second.leaves)
    assert evidence.last(IDENTITY, PARTITION) is None
    evidence.keep(IDENTITY, PARTITION, 0, first.note, first.leaves)
    assert list(evidence.kept(IDENTITY, PARTITION)) == [first]
    with pytest.raises(AlreadyKept):
        evidence.keep(IDENTITY, PARTITION, 0, second.note, second.leaves)
    assert list(evidence.kept(IDENTITY, PARTITION)) == [first]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EvidenceUnavailable, match="could not be kept"):
        FolderStore(tmp_path / "file").put("a", b"x")


def test_what_is_no_store_is_said() -> None:
    with pytest.raises(EvidenceUnavailable, match="SYMPHAINY_AUDIT_URL"):
        open_store("gopher://example")
