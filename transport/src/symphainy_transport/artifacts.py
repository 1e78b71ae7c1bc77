"""Artifacts and large payloads: bytes in an object store, references in records.

An object is content-addressed (`<tenant>/<first two>/<sha256>`), so writing it twice is writing
it once, and a reader can prove that it got what the record names.
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
from symphainy_transport.settings import TransportSettings

SCHEME = "artifact"


class ArtifactMissing(OperatorError):
    """A reference's content is gone or is not what it was.

    Operator action: restore the object store.
    """

    code = "artifact_missing"


class ArtifactStore:
    """Puts bytes under their hash and gets them back, verified."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`: file:///…, s3://…, gs://… or az://…."""
        parts = urlsplit(url)
        self._store: ObjectStore
        if parts.scheme == "file":
            folder = Path(url2pathname(parts.path))
            self._store = LocalStore(folder, automatic_cleanup=False, mkdir=True)
        else:
            self._store = from_url(url)

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> ArtifactStore:
        """The store that the settings name."""
        return cls(settings.artifacts_location())

    async def put(
        self, tenant_id: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> Reference:
        """Store `content` for the tenant; returns when it is there.

        Raises:
            Unavailable: the object store did not take it.
        """
        reference = _reference(tenant_id, content, media_type)
        try:
            await obstore.put_async(self._store, _path(reference), content)
        except BaseError as error:
            raise Unavailable(f"The object store did not take an artifact: {error}") from error
        return reference

    async def get(self, reference: Reference) -> bytes:
        """The content, checked against size and hash.

        Raises:
            ArtifactMissing: it is gone, or not what the reference names.
            Unavailable: the object store did not answer.
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
        return content

    async def claim_check(
        self, tenant_id: str, payload: bytes, limit: int
    ) -> tuple[bytes, Reference | None]:
        """What goes into a record: the payload itself up to `limit` bytes, else a reference."""
        if len(payload) <= limit:
            return payload, None
        return b"", await self.put(tenant_id, payload, "application/json")


def _reference(tenant_id: str, content: bytes, media_type: str) -> Reference:
    digest = sha256(content)
    uri = f"{SCHEME}://{tenant_id}/{digest.hexdigest()}"
    return Reference(uri, digest.digest(), len(content), media_type)


def _path(reference: Reference) -> str:
    parts = urlsplit(reference.uri)
    if parts.scheme != SCHEME or "/" in parts.path[1:] or ".." in reference.uri:
        raise ArtifactMissing(f"{reference.uri[:120]!r} is not an artifact reference.")
    name = parts.path[1:]
    return f"{parts.netloc}/{name[:2]}/{name}"
