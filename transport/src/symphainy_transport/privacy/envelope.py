"""Sealed content: what it looks like, and the keys that seal and open it. It knows no service.

A sealed value is `1 | generation | nonce | ciphertext and tag`: one byte, four (big-endian),
twelve, the rest; AES-256-GCM (NIST SP 800-38D). Bound to it, as associated data, are tenant and
kind; not its place, since records copy it from one to the next.

In a record it is JSON, `{"$sealed":"<base64>"}`: whoever carries JSON carries it, embeds it and
shows it without knowing. In the object store it is those bytes.

The nonce is not drawn: it is the beginning of HMAC-SHA256 over kind, context and content, under a
key that only nonces are made with (as in SIV, RFC 5297). So the same content in the same context is
the same bytes: a repeat of an intent hashes as the first did, an artifact that is stored twice is
stored once; and two different ones share a nonce no more often than drawn ones would. What Kafka's
operator sees of it: that two payloads under one intent id, or two artifacts of a tenant, are equal.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from symphainy_transport.privacy.errors import ContentCorrupt

KEY_BYTES: Final = 32
JSON, TEXT, ARTIFACT = b"json", b"text", b"artifact"
"""Kinds of content: what was sealed as one is not opened as another."""
_FORMAT, _NONCE_BYTES, _TAG_BYTES = 1, 12, 16
_HEAD_BYTES = 5 + _NONCE_BYTES


class DataKey:
    """One generation of a tenant's data key. Neither text nor repr shows it."""

    __slots__ = ("_cipher", "_nonces", "bound", "generation", "index")

    def __init__(self, tenant_id: str, generation: int, secret: bytes) -> None:
        """`secret` is 32 bytes; `index` is what else is keyed with it: hashes that must not tell
        what they are of."""
        self.generation = generation
        self.bound = b"symphainy\0" + tenant_id.encode() + b"\0"
        self._cipher = AESGCM(_derived(secret, b"content"))
        self._nonces = _derived(secret, b"nonces")
        self.index = _derived(secret, b"index")

    def __repr__(self) -> str:
        return f"DataKey(generation={self.generation})"

    def seal(self, kind: bytes, context: bytes, content: bytes) -> bytes:
        """The sealed bytes of `content`."""
        mac = hmac.digest(self._nonces, b"%b\0%b\0%b" % (kind, context, content), hashlib.sha256)
        nonce = mac[:_NONCE_BYTES]
        head = bytes((_FORMAT,)) + self.generation.to_bytes(4, "big") + nonce
        return head + self._cipher.encrypt(nonce, content, self.bound + kind)

    def open(self, kind: bytes, sealed: bytes) -> bytes:
        """The content of sealed bytes of this generation.

        Raises:
            ContentCorrupt: they are not what this key sealed for this tenant, as this kind.
        """
        nonce = sealed[5:_HEAD_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[_HEAD_BYTES:], self.bound + kind)
        except InvalidTag as error:
            told = "Sealed content does not open with the key that it names."
            raise ContentCorrupt(told) from error


def fresh_secret() -> bytes:
    """A new data key's secret."""
    return secrets.token_bytes(KEY_BYTES)


def generation_of(sealed: bytes) -> int:
    """Which key opens these bytes.

    Raises:
        ContentCorrupt: they are not sealed content.
    """
    if len(sealed) < _HEAD_BYTES + _TAG_BYTES or sealed[0] != _FORMAT:
        raise ContentCorrupt("This is not sealed content, or of a later format.")
    return int.from_bytes(sealed[1:5], "big")


def _derived(secret: bytes, use: bytes) -> bytes:
    return hmac.digest(secret, b"symphainy " + use, hashlib.sha256)
