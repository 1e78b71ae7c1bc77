"""Invariants of artifacts.

- What is got is what was put, or an error: hash and tenant are part of the reference.
- Only payloads over the limit are claim-checked.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from symphainy_transport.artifacts import ArtifactMissing, ArtifactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "artifacts").as_uri())


async def test_what_is_got_is_what_was_put(store: ArtifactStore) -> None:
    reference = await store.put("acme", b"content", "text/plain")
    assert await store.get(reference) == b"content"
    assert await store.put("acme", b"content", "text/plain") == reference
    assert reference.uri.startswith("artifact://acme/")


async def test_changed_content_is_found(store: ArtifactStore, tmp_path: Path) -> None:
    reference = await store.put("acme", b"content")
    (path,) = (path for path in (tmp_path / "artifacts").rglob("*") if path.is_file())
    path.write_bytes(b"changed")
    with pytest.raises(ArtifactMissing):
        await store.get(reference)


@pytest.mark.parametrize(
    "uri", ["artifact://acme/" + "0" * 64, "file:///etc/passwd", "artifact://acme/../x"]
)
async def test_what_is_not_there_is_an_error(store: ArtifactStore, uri: str) -> None:
    reference = await store.put("acme", b"content")
    with pytest.raises(ArtifactMissing):
        await store.get(replace(reference, uri=uri))


async def test_only_what_is_over_the_limit_is_claim_checked(store: ArtifactStore) -> None:
    assert await store.claim_check("acme", b"x" * 10, 10) == (b"x" * 10, None)
    payload, reference = await store.claim_check("acme", b"x" * 11, 10)
    assert payload == b""
    assert reference is not None
    assert await store.get(reference) == b"x" * 11
