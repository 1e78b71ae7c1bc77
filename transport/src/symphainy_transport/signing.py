"""Signatures of producers that write to Kafka themselves: Ed25519 (RFC 8032).

The private key stays with the producer; the public one stands in its key's record (`ApiKey`), and
whoever decides about an intent asks `verified`. What is signed, `sealing.canonical` says.
"""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec.structs import replace

from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import ApiKey, Error, Intent
from symphainy_transport.credentials import KeyStatus, in_scope, key_status
from symphainy_transport.sealing import canonical, signed_part

SIGNATURE = "signature"
"""What a signed intent says in `authentication`."""
_ASK = "Sign with an active key of this tenant: `symphainy key create --signing`."


class SigningKey:
    """A producer's private key and its id. Neither text nor repr shows the private part."""

    __slots__ = ("_private", "key_id")

    def __init__(self, key_id: str, private: Ed25519PrivateKey) -> None:
        self.key_id = key_id
        self._private = private

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def generate(cls, key_id: str) -> SigningKey:
        """A fresh key."""
        return cls(key_id, Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, key_id: str, pem: str | bytes) -> SigningKey:
        """The key of a PEM text (PKCS #8), as `symphainy key create --signing` gives it.

        Raises:
            CallerError: it is no Ed25519 private key without a password.
        """
        try:
            private = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, None)
        except (ValueError, TypeError) as error:
            raise _no_key() from error
        if not isinstance(private, Ed25519PrivateKey):
            raise _no_key()
        return cls(key_id, private)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes, as `ApiKey.public_key` holds it."""
        return self._private.public_key().public_bytes_raw()

    def private_pem(self) -> str:
        """The private key as PEM (PKCS #8), to be shown once and kept secret."""
        return self._private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    def sign(self, intent: Intent) -> Intent:
        """The intent with this key as its credential, and its signature.

        Raises:
            TypeError, ValueError, OverflowError: a member is not what the schema holds.
        """
        stated = replace(intent, authentication=SIGNATURE, credential=self.key_id, signature=b"")
        return replace(stated, signature=self._private.sign(canonical(stated)))


def verified(
    intent: Intent, key: ApiKey | None, now_ms: int, value: bytes | None = None
) -> Error | None:
    """What is wrong with a signed intent, given the record of the key that it names; None: nothing.

    Pure. `now_ms` decides whether the key counts. The intent's `principal` must be the key's, its
    `roles` and `attributes` among the key's: the signature shows who stated it, the record what
    they may state. Whether the key is unknown, revoked, expired or another's is not told apart.
    """
    if (
        key is None
        or intent.authentication != SIGNATURE
        or intent.credential != key.key_id
        or intent.tenant_id != key.tenant_id
        or key_status(key, now_ms) is not KeyStatus.ACTIVE
        or not _signed(intent, signed_part(intent, value), key.public_key)
    ):
        return _error("signature_invalid", "The intent's signature is not valid.", "/signature")
    if intent.principal != key.principal:
        return _error(
            "principal_mismatch", "The intent names a principal that is not its key's.",
            "/principal", "State the principal of the key.",
        )  # fmt: skip
    if not set(intent.roles) <= set(key.roles):
        return _error(
            "roles_mismatch", "The intent states roles that its key does not have.",
            "/roles", "State roles of the key, or give them to it.",
        )  # fmt: skip
    if not _among(intent.attributes, key.attributes):
        return _error(
            "attributes_mismatch", "The intent states attributes that its key does not have.",
            "/attributes", "State attributes as the key has them, or none.",
        )  # fmt: skip
    if not in_scope(key.scopes, intent.intent_type):
        return _error(
            "out_of_scope", f"The key may not state {intent.intent_type}.",
            "/intent_type", "Use a key whose scopes have it.",
        )  # fmt: skip
    return None


def _signed(intent: Intent, signed: bytes, public: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(intent.signature, signed)
    except (InvalidSignature, ValueError):  # or the record has no public key
        return False
    return True


def _among(stated: bytes, known: bytes) -> bool:
    if not stated or stated == known:
        return True
    mine, theirs = _object(stated), _object(known)
    return (
        mine is not None
        and theirs is not None
        and all(name in theirs and theirs[name] == value for name, value in mine.items())
    )


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _error(code: str, message: str, field: str, cure: str = _ASK) -> Error:
    return Error(code=code, message=message, field=field, cure=cure)


def _no_key() -> CallerError:
    return CallerError(
        "This is no Ed25519 private key without a password.",
        code="signing_key_malformed",
        field="private_key",
        cure="Give the PEM text that `symphainy key create --signing` made.",
    )
