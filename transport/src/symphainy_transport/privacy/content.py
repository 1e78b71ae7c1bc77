"""Sealing what enters the system and opening what is used, for one tenant at a time.

`Content` finds a tenant's keys; an `Opener` is what can be done with them, and does nothing where
the tenant has none. Everything else of this package follows from where these two are called: where
content enters (gateway, producers, workers) and where it is used (an owner's decisions, a worker
before its handler, a gateway that answers its tenant). Everybody else carries sealed bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from symphainy_transport.privacy.errors import ContentCorrupt, ContentShredded, KeysNotSet
from symphainy_transport.privacy.marking import (
    from_inner,
    from_token,
    holds_sealed,
    is_sealed,
    sealed_in,
    sealed_text_in,
    token,
)
from symphainy_transport.settings import TransportSettings

if TYPE_CHECKING:  # ciphers take 20 ms to import, and few processes of a bare system need them
    from symphainy_transport.privacy.keyring import Keyring, TenantKeys

MOST_NEW = 10
"""Generations that are made while a process keeps the older ones: who forges a higher number does
not have us look."""
_JSON, _TEXT, _ARTIFACT = b"json", b"text", b"artifact"


class Standing(Enum):
    """How a tenant's content stands."""

    CLEAR = "clear"
    """It has no keys: nothing is sealed."""
    SEALED = "sealed"
    SHREDDED = "shredded"
    UNKNOWN = "unknown"
    """There is no key service here, so nobody can tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Opener:
    """What can be done with one tenant's content, by the keys as they were found."""

    tenant_id: str
    standing: Standing
    keys: TenantKeys | None = None
    look: Callable[[int], Opener] | None = None
    """Looks whether the tenant has a generation by now; None: this was found by looking."""

    @property
    def required(self) -> bool:
        """Whether the tenant takes sealed content only."""
        return self.keys is not None and self.keys.required

    @property
    def index(self) -> bytes:
        """Keys hashes of content that others see; empty where content is not sealed."""
        return b"" if self.keys is None else self.keys.index

    def require_readable(self) -> None:
        """Raises `ContentShredded` if the keys were destroyed."""
        if self.standing is Standing.SHREDDED:
            raise ContentShredded(self.tenant_id)

    def with_keys_of(self, *members: bytes) -> Opener:
        """This one, or where it knows of no keys and one of these members is sealed, what is found
        by looking again: somebody else knew of them before us. Blocks then.

        Raises: as `Content.of`.
        """
        if self.standing is not Standing.CLEAR or self.look is None:
            return self
        return self.look(1) if any(map(holds_sealed, members)) else self

    def of_each_key(self) -> Iterator[Opener]:
        """One for each generation of the keys: what was sealed before, as it was."""
        if self.keys is not None:
            for number, key in self.keys.keys.items():
                yield replace(self, keys=replace(self.keys, keys={number: key}))

    def seal(self, context: str, raw: bytes) -> bytes:
        """JSON, sealed; as it is where there are no keys, or where there is nothing.

        Raises:
            ContentShredded: the keys were destroyed.
        """
        return token(self._seal(_JSON, context, raw)) if self._seals(raw) else raw

    def seal_text(self, context: str, text: str) -> str:
        """The same of a text, which stays one."""
        if not self._seals(text):
            return text
        return token(self._seal(_TEXT, context, text.encode("utf-8", "replace"))).decode()

    def seal_bytes(self, content: bytes) -> bytes | None:
        """The same of an artifact; None where there are no keys. Equal ones are sealed alike."""
        return self._seal(_ARTIFACT, "", content) if self._seals("artifact") else None

    def open(self, raw: bytes) -> bytes:
        """JSON of which all, or parts, may be sealed, with nothing sealed in it.

        Raises:
            ContentShredded: the keys were destroyed.
            ContentCorrupt: no key of the tenant opens it.
            KeysNotSet: there is no key service here.
        """
        if not holds_sealed(raw):
            return raw
        if self.standing is Standing.CLEAR:
            newer = self.with_keys_of(raw)
            return raw if newer.standing is Standing.CLEAR else newer.open(raw)
        if is_sealed(raw):
            return self._open(_JSON, from_token(raw))
        return msgspec.json.encode(self.reveal(msgspec.json.decode(raw)))

    def open_bytes(self, sealed: bytes) -> bytes:
        """The artifact of sealed bytes. Raises as `open`; ContentCorrupt without keys, too."""
        return self._open(_ARTIFACT, sealed)

    def reveal(self, value: Any) -> Any:
        """A JSON value with every sealed part of it opened; what was in there is not looked at
        again. Raises as `open`."""
        if self.standing is Standing.CLEAR:
            newer = self if self.look is None else self.look(1)
            return value if newer.standing is Standing.CLEAR else newer.reveal(value)
        return _mapped(value, self._open_value)

    def show(self, value: Any) -> tuple[Any, str]:
        """As `reveal`, for a reader: what cannot be opened says why in its place (`shredded`,
        `corrupt`, `keys_not_set`); and the last of these reasons, empty if all is open."""
        if self.standing is Standing.CLEAR:
            return value, ""
        told = ""

        def shown(inner: str, kind: bytes) -> Any:
            nonlocal told
            try:
                return self._open_value(inner, kind)
            except (ContentShredded, ContentCorrupt, KeysNotSet) as error:
                told = error.code.removeprefix("content_")
                return told if kind == _TEXT else {"content": told}

        return _mapped(value, shown), told

    def _open_value(self, inner: str, kind: bytes) -> Any:
        opened = self._open(kind, from_inner(inner))
        return opened.decode() if kind == _TEXT else msgspec.json.decode(opened)

    def _seals(self, content: bytes | str) -> bool:
        if not content:
            return False
        self.require_readable()
        return self.keys is not None

    def _seal(self, kind: bytes, context: str, content: bytes) -> bytes:
        assert self.keys is not None
        return self.keys.newest.seal(kind, context.encode(), content)

    def _open(self, kind: bytes, sealed: bytes) -> bytes:
        self.require_readable()
        if self.standing is Standing.UNKNOWN:
            raise KeysNotSet
        from symphainy_transport.privacy.envelope import generation_of

        number = generation_of(sealed)
        key = None if self.keys is None else self.keys.keys.get(number)
        if key is not None:
            return key.open(kind, sealed)
        if self.look is not None and self._may_be_new(number):
            return self.look(number)._open(kind, sealed)
        raise ContentCorrupt("Sealed content names a key that its tenant never had.")

    def _may_be_new(self, number: int) -> bool:
        """Whether a generation may have been made since ours were looked at."""
        newest = 0 if self.keys is None else max(self.keys.keys)
        return newest < number <= newest + MOST_NEW


class Content:
    """Finds what opens a tenant's content. Without a key service nothing is sealed."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self._keyring = keyring

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> Content:
        """With the key service that the settings name, if any."""
        if settings.key_folder is None:
            return cls()
        from symphainy_transport.privacy.connecting import keyring_of

        return cls(keyring_of(settings))

    def of(self, tenant_id: str) -> Opener:
        """What can be done with the tenant's content now. Blocks where keys are not at hand.

        Raises:
            KeysUnavailable: nobody knows now; later somebody may.
            KeysUnusable: an operator must act.
        """
        return self._found(tenant_id, partial(self._look, tenant_id))

    def _look(self, tenant_id: str, generation: int) -> Opener:
        assert self._keyring is not None
        self._keyring.look_for(tenant_id, generation)
        return self._found(tenant_id, None)

    def _found(self, tenant_id: str, look: Callable[[int], Opener] | None) -> Opener:
        if self._keyring is None:
            return Opener(tenant_id, Standing.UNKNOWN)
        try:
            keys = self._keyring.of(tenant_id)
        except ContentShredded:
            return Opener(tenant_id, Standing.SHREDDED)
        standing = Standing.CLEAR if keys is None else Standing.SEALED
        return Opener(tenant_id, standing, keys, look)

    async def ready(self, tenant_id: str) -> Opener:
        """The same, without blocking the event loop."""
        if self._keyring is not None:
            await self._keyring.ready(tenant_id)
        return self.of(tenant_id)


def _mapped(value: Any, opened: Any) -> Any:
    if isinstance(value, dict):
        inner = sealed_in(value)
        if inner is not None:
            return opened(inner, _JSON)
        return {name: _mapped(member, opened) for name, member in value.items()}
    if isinstance(value, list):
        return [_mapped(member, opened) for member in value]
    if isinstance(value, str):
        inner = sealed_text_in(value)
        return value if inner is None else opened(inner, _TEXT)
    return value
