"""Artifacts and large payloads: bytes in an object store, references in records.

An object is content-addressed (`<tenant>/<first two>/<sha256>`), so writing it twice is writing
it once, and a reader can prove that it got what the record names. Of a tenant with keys it is
sealed, the hash is that of the sealed bytes, which tells nothing of what is in them, and the name
ends in `.sealed`; sizes are those of the content.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_schemas.records import Reference
from symphainy_transport.privacy.content import Content
from symphainy_transport.privacy.marking import SEALED_SUFFIX
from symphainy_transport.settings import TransportSettings

SCHEME = "artifact"


class ArtifactMissing(OperatorError):
    """A reference's content is gone or is not what it was.

    Operator action: restore the object store.
    """

    code = "artifact_missing"


class ArtifactStore:
    """Puts bytes under their hash and gets them back, verified."""

    def __init__(self, url: str, content: Content | None = None) -> None:
        """Open the store at `url`: file:///…, s3://…, gs://… or az://…. `content` seals and opens
        what is of tenants with keys; without, nothing is."""
        self._store = object_store(url)
        self.content = content or Content()

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> ArtifactStore:
        """The store, and the key service, that the settings name."""
        return cls(settings.artifacts_location(), Content.from_settings(settings))

    async def put(
        self, tenant_id: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> Reference:
        """Store `content` for the tenant; returns when it is there.

        Raises:
            ContentShredded: the tenant's keys were destroyed.
            Unavailable: the object store did not take it, or the keys cannot be had.
        """
        reference, stored = await self._stored(tenant_id, content, media_type)
        try:
            await obstore.put_async(self._store, _path(reference), stored)
        except BaseError as error:
            raise Unavailable(f"The object store did not take an artifact: {error}") from error
        return reference

    async def get(self, reference: Reference) -> bytes:
        """The content, checked against its hash.

        Raises:
            ArtifactMissing: it is gone, or not what the reference names.
            ContentShredded: the tenant's keys were destroyed.
            ContentCorrupt: no key of the tenant opens it.
            Unavailable: the object store did not answer, or the keys cannot be had.
        """
        try:
            result = await obstore.get_async(self._store, _path(reference))
            content = bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{reference.uri} is not in the object store.") from error
        except BaseError as error:
            raise Unavailable(f"The object store did not answer: {error}") from error
        if sha256(content).digest() != reference.sha256:
            raise ArtifactMissing(f"{reference.uri} does not hash to what its record names.")
        if not reference.uri.endswith(SEALED_SUFFIX):
            return content
        opener = await self.content.ready(urlsplit(reference.uri).netloc)
        return opener.open_bytes(content)

    async def holds(self, tenant_id: str, content: bytes) -> bool:
        """Whether the tenant has `content` stored already.

        Raises:
            Unavailable: the object store did not answer.
        """
        reference, _ = await self._stored(tenant_id, content, "")
        try:
            await obstore.head_async(self._store, _path(reference))
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise Unavailable(f"The object store did not answer: {error}") from error
        return True

    async def stored_bytes(self, tenant_id: str) -> int:
        """How many bytes the tenant has stored, counted by listing them all.

        Raises:
            Unavailable: the object store did not answer.
        """
        total = 0
        try:
            async for found in obstore.list(self._store, prefix=f"{tenant_id}/"):
                total += sum(one["size"] for one in found)
        except BaseError as error:
            raise Unavailable(f"The object store did not answer: {error}") from error
        return total

    async def claim_check(
        self, tenant_id: str, payload: bytes, limit: int
    ) -> tuple[bytes, Reference | None]:
        """What goes into a record: the payload itself up to `limit` bytes, else a reference."""
        if len(payload) <= limit:
            return payload, None
        return b"", await self.put(tenant_id, payload, "application/json")

    async def _stored(
        self, tenant_id: str, content: bytes, media_type: str
    ) -> tuple[Reference, bytes]:
        """The reference of what is to be stored, and its bytes as they lie there."""
        sealed = (await self.content.ready(tenant_id)).seal_bytes(content)
        stored = content if sealed is None else sealed
        digest = sha256(stored)
        suffix = "" if sealed is None else SEALED_SUFFIX
        uri = f"{SCHEME}://{tenant_id}/{digest.hexdigest()}{suffix}"
        return Reference(uri, digest.digest(), len(content), media_type), stored


def object_store(url: str) -> ObjectStore:
    """The object store at a URL: file:///…, s3://…, gs://… or az://…."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return from_url(url)
    folder = Path(url2pathname(parts.path))
    return LocalStore(folder, automatic_cleanup=False, mkdir=True)


def _path(reference: Reference) -> str:
    parts = urlsplit(reference.uri)
    if parts.scheme != SCHEME or "/" in parts.path[1:] or ".." in reference.uri:
        raise ArtifactMissing(f"{reference.uri[:120]!r} is not an artifact reference.")
    name = parts.path[1:]
    return f"{parts.netloc}/{name[:2]}/{name}"
