"""The data keys of tenants: wrapped in the object store, unwrapped in memory for a bounded time.

`.keys/<tenant>/<generation>` holds a wrapped key, `.keys/<tenant>/shredded` that there are none any
more; no tenant's id begins with a dot. A generation is written once and never changed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import obstore
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError
from symphainy_transport.privacy.envelope import DataKey, fresh_secret
from symphainy_transport.privacy.errors import ContentShredded, KeysUnavailable, KeysUnusable
from symphainy_transport.privacy.services import KeyService

log = logging.getLogger(__name__)
FOLDER = ".keys"
SHREDDED = "shredded"
CACHE_S = 60.0
"""How long an unwrapped key is kept: so long may a process read on after a shred."""
NONE_S = 5.0
"""After which it is looked again, beside its use, whether a tenant has keys; that it has none is
believed for `CACHE_S` at most."""
AGAIN_S = 0.2
MOST_TENANTS = 10_000


class WrappedKey(Struct, frozen=True, kw_only=True):
    """One generation, as it lies in the object store. `required`: what is not sealed is refused."""

    generation: int
    wrapped: bytes
    required: bool
    created_at: int
    created_by: str


class Shredded(Struct, frozen=True, kw_only=True):
    """That a tenant's content was shredded: when (ms since the epoch), by whom, and why."""

    at: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """What a tenant's content is sealed and opened with."""

    tenant_id: str
    keys: dict[int, DataKey]
    required: bool

    @property
    def newest(self) -> DataKey:
        """What new content is sealed with."""
        return self.keys[max(self.keys)]

    @property
    def index(self) -> bytes:
        """Keys hashes that others see; the same in all generations."""
        return self.keys[min(self.keys)].index


@dataclass(slots=True)
class _Held:
    """What is known of a tenant. It is looked at again, beside its use, from `fresh_until` on, and
    not used from `until` on."""

    keys: TenantKeys | None
    shredded: bool
    fresh_until: float
    until: float
    looked_at: float


Later = Callable[[Callable[[], None]], None]
"""Has something done beside what goes on."""


def in_a_thread(work: Callable[[], None]) -> None:
    """In one that ends with the process."""
    threading.Thread(target=work, name="keyring", daemon=True).start()


class Keyring:
    """Finds, makes and destroys the data keys of tenants. Safe in any thread."""

    def __init__(
        self,
        store: ObjectStore,
        service: KeyService,
        clock: Callable[[], float] = time.monotonic,
        cache_s: float = CACHE_S,
        later: Later = in_a_thread,
    ) -> None:
        """`clock` is monotonic, in seconds. `later` looks again at what is held, so that who seals
        or decides waits for the first look at a tenant alone."""
        self._store, self._service = store, service
        self._clock, self._cache_s = clock, cache_s
        self._later = later
        self._looking: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._loading = threading.Lock()

    def of(self, tenant_id: str) -> TenantKeys | None:
        """The tenant's keys; None: it has none, and its content is not sealed. Blocks where they
        are not at hand.

        Raises:
            ContentShredded: they were destroyed.
            KeysUnavailable: nobody knows now.
            KeysUnusable: an operator must act.
        """
        if ids.TENANT_ID.fullmatch(tenant_id) is None:
            return None
        held = self._held.get(tenant_id)
        if held is None or self._clock() >= held.until:
            with self._loading:
                held = self._held.get(tenant_id)
                if held is None or self._clock() >= held.until:
                    held = self._load(tenant_id)
        elif self._clock() >= held.fresh_until and tenant_id not in self._looking:
            self._looking.add(tenant_id)
            self._later(lambda: self._look_again(tenant_id))
        if held.shredded:
            raise ContentShredded(tenant_id)
        return held.keys

    def look_for(self, tenant_id: str, generation: int) -> None:
        """Look again, now, if a generation is not among the tenant's that are held: somebody names
        it, so it was made since, or is made up. That there are none at all is looked at once in
        `AGAIN_S`, as anybody may write what looks sealed for a tenant without keys. Blocks.

        Raises:
            KeysUnavailable: nobody knows now.
            KeysUnusable: an operator must act.
        """
        if ids.TENANT_ID.fullmatch(tenant_id) is None:
            return
        with self._loading:
            held = self._held.get(tenant_id)
            if held is not None:
                if held.shredded or (held.keys is not None and generation in held.keys.keys):
                    return
                if held.keys is None and self._clock() < held.looked_at + AGAIN_S:
                    return
            self._load(tenant_id)

    async def ready(self, tenant_id: str) -> None:
        """Have the tenant's keys at hand, without blocking the loop. Raises nothing: `of` does."""
        held = self._held.get(tenant_id)
        if held is None or self._clock() >= held.until:
            try:
                await asyncio.to_thread(self.of, tenant_id)
            except SymphainyError:
                return

    def create(self, tenant_id: str, *, required: bool, at: int, by: str) -> int:
        """Make the tenant's next generation, with which new content is sealed; its number.

        Raises: as `of`.
        """
        self._service.create(tenant_id)
        found, shredded = self._stored(tenant_id)
        if shredded is not None:
            raise ContentShredded(tenant_id)
        generation = max(found, default=0) + 1
        wrapped = self._service.wrap(tenant_id, fresh_secret())
        record = WrappedKey(
            generation=generation, wrapped=wrapped, required=required, created_at=at, created_by=by
        )
        try:
            path = f"{FOLDER}/{tenant_id}/{generation}"
            obstore.put(self._store, path, msgspec.json.encode(record), mode="create")
        except AlreadyExistsError as error:
            raise KeysUnavailable(
                f"Somebody else made generation {generation} of {tenant_id} just now.",
                cure="See `symphainy tenant keys`; repeat it for one more.",
            ) from error
        except BaseError as error:
            raise _unavailable(error) from error
        self._held.pop(tenant_id, None)
        return generation

    def shred(self, tenant_id: str, *, at: int, by: str, reason: str) -> Shredded:
        """Destroy what opens the tenant's content; what is told of it, the first time's if it was
        before.

        Raises: as `of`, and never `ContentShredded`.
        """
        self._service.destroy(tenant_id)
        self._held.pop(tenant_id, None)
        told = Shredded(at=at, by=by, reason=reason)
        try:
            path = f"{FOLDER}/{tenant_id}/{SHREDDED}"
            obstore.put(self._store, path, msgspec.json.encode(told), mode="create")
        except AlreadyExistsError:
            _, first = self._stored(tenant_id)
            return first or told
        except BaseError as error:
            raise _unavailable(error) from error
        return told

    def told(self, tenant_id: str) -> tuple[list[WrappedKey], Shredded | None]:
        """The tenant's generations, oldest first, and its shredding if it was.

        Raises:
            KeysUnavailable: the object store does not answer.
        """
        found, shredded = self._stored(tenant_id)
        return [found[number] for number in sorted(found)], shredded

    def _look_again(self, tenant_id: str) -> None:
        try:
            with self._loading:
                self._load(tenant_id)
        except SymphainyError as error:  # what is held is used until its time is over
            log.warning("the keys of tenant %s cannot be looked at: %s", tenant_id, error.code)
        finally:
            self._looking.discard(tenant_id)

    def _load(self, tenant_id: str) -> _Held:
        if len(self._held) >= MOST_TENANTS:
            self._held.clear()
        found, shredded = self._stored(tenant_id)
        now = self._clock()
        held = _Held(None, False, now + NONE_S, now + self._cache_s, now)
        if shredded is not None:
            held = _Held(None, True, inf, inf, now)
        elif found:
            try:
                keys = {
                    number: DataKey(tenant_id, number, self._service.unwrap(tenant_id, one.wrapped))
                    for number, one in found.items()
                }
                required = found[max(found)].required
                ring = TenantKeys(tenant_id, keys, required)
                held = _Held(ring, False, now + self._cache_s / 2, now + self._cache_s, now)
            except ContentShredded:  # what says so was not written, or not yet
                held = _Held(None, True, inf, inf, now)
        self._held[tenant_id] = held
        return held

    def _stored(self, tenant_id: str) -> tuple[dict[int, WrappedKey], Shredded | None]:
        found: dict[int, WrappedKey] = {}
        shredded: Shredded | None = None
        try:
            prefix = f"{FOLDER}/{tenant_id}/"
            names = [one["path"] for page in obstore.list(self._store, prefix) for one in page]
            for path in names:
                name, text = path.rpartition("/")[2], self._read(path)
                if name == SHREDDED:
                    shredded = msgspec.json.decode(text, type=Shredded)
                elif name.isdecimal():
                    found[int(name)] = msgspec.json.decode(text, type=WrappedKey)
        except BaseError as error:
            raise _unavailable(error) from error
        except msgspec.DecodeError as error:
            raise KeysUnusable(
                f"A key of tenant {tenant_id} in the object store is none: {error}",
                cure=f"Restore {FOLDER}/{tenant_id}/ in the object store.",
            ) from error
        return found, shredded

    def _read(self, path: str) -> bytes:
        result: Any = obstore.get(self._store, path)
        return bytes(result.bytes())


def _unavailable(error: Exception) -> KeysUnavailable:
    return KeysUnavailable(f"The object store did not answer: {type(error).__name__}.")
