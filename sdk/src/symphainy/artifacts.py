"""The artifacts of one tenant, as its handlers see them."""

from __future__ import annotations

import mimetypes
from typing import Protocol

from msgspec import Struct

from symphainy.errors import TerminalError
from symphainy.reference import Reference
from symphainy_schemas import records


class Store(Protocol):
    """Where artifacts lie."""

    async def put(self, tenant_id: str, content: bytes, media_type: str) -> records.Reference:
        """Store `content` for the tenant."""
        ...

    async def get(self, reference: records.Reference) -> bytes:
        """The content of a reference."""
        ...


class Artifacts(Struct, frozen=True):
    """The tenant's artifacts: bytes in the object store, references in records."""

    _store: Store
    _tenant_id: str

    async def put(self, name: str, content: bytes | str, *, media_type: str = "") -> Reference:
        """Store `content`; returns its reference when it is there.

        `name` says what it is; without `media_type` its suffix ("rows.csv") tells the IANA media
        type, else text and bytes get their general one. Storing the same content twice is
        storing it once.

        Raises:
            Unavailable: the object store did not take it; the attempt may be retried.
        """
        general = "text/plain" if isinstance(content, str) else "application/octet-stream"
        kind = media_type or mimetypes.guess_type(name)[0] or general
        data = content.encode() if isinstance(content, str) else content
        return Reference.of(await self._store.put(self._tenant_id, data, kind))

    async def get(self, reference: records.Reference) -> bytes:
        """The content of a reference, checked against its hash.

        Raises:
            TerminalError: `foreign_artifact`, the reference is another tenant's.
            ArtifactMissing: it is gone, or not what the reference names.
            Unavailable: the object store did not answer; the attempt may be retried.
        """
        if not belongs_to(reference, self._tenant_id):
            raise TerminalError(
                f"{reference.uri[:120]!r} is not an artifact of this tenant.",
                code="foreign_artifact",
                cure="Use references that were made for the same tenant.",
            )
        return await self._store.get(reference)


def belongs_to(reference: records.Reference, tenant_id: str) -> bool:
    """Whether a reference is one of the tenant's."""
    return reference.uri.startswith(f"artifact://{tenant_id}/")
