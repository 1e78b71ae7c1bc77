"""Artifacts of a replay: kept in a scratch folder, read there first, else where they really lie."""

from __future__ import annotations

from collections.abc import Callable

from symphainy.artifacts import Store
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import Reference


class Scratch:
    """A `Store` that writes to one store and reads from two."""

    def __init__(self, scratch: Store, real: Callable[[], Store]) -> None:
        """`real` opens the real store, once something is read from it."""
        self._scratch = scratch
        self._open = real
        self._real: Store | None = None

    async def put(self, tenant_id: str, content: bytes, media_type: str) -> Reference:
        """Store it in the scratch folder; its reference is the one that it has anywhere."""
        return await self._scratch.put(tenant_id, content, media_type)

    async def get(self, reference: Reference) -> bytes:
        """The content, from the scratch folder or the real store."""
        try:
            return await self._scratch.get(reference)
        except OperatorError:  # not there
            self._real = self._real or self._open()
            return await self._real.get(reference)
