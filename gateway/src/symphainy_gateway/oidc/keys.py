"""A JWK set (RFC 7517) to the keys that may verify. Pure.

Only public keys of asymmetric algorithms are taken; what is not understood, is too weak or is for
something else is passed over, as the RFC asks (section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from msgspec import Struct

PublicKey = RSAKey | ECKey | OKPKey
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA", "Ed25519"}),
}
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
RSA_MIN_BITS = 2_048  # NIST SP 800-131A
_RSA_MIN_CHARACTERS = (RSA_MIN_BITS + 5) // 6  # of its modulus in base64url
# Far above what any issuer has: each may be asked for by a token.
KEYS_MAX = 100


class VerifyingKey(Struct, frozen=True):
    """A key, its id (empty: none), and the algorithms that it may verify."""

    kid: str
    algorithms: frozenset[str]
    key: PublicKey
    thumbprint: str


class _KeySet(Struct, frozen=True):
    keys: list[dict[str, Any]]


class KeySet(Struct, frozen=True):
    """The keys of an issuer that may verify."""

    keys: tuple[VerifyingKey, ...]

    def find(self, kid: str, algorithm: str) -> VerifyingKey | None:
        """The key that a token names; without a kid, the only one for the algorithm."""
        fitting = [
            key for key in self.keys if algorithm in key.algorithms and (not kid or key.kid == kid)
        ]
        return fitting[0] if fitting and (kid or len(fitting) == 1) else None

    @property
    def thumbprints(self) -> frozenset[tuple[str, str]]:
        """What tells one set from another."""
        return frozenset((key.kid, key.thumbprint) for key in self.keys)


def read_key_set(document: bytes) -> KeySet:
    """The keys of a JWK set that may verify.

    Raises:
        ValueError: it is no JWK set, or holds none of these.
    """
    try:
        stated = msgspec.json.decode(document, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no JWK set: {type(error).__name__}") from error
    found = tuple(_usable(stated[:KEYS_MAX]))
    if not found:
        raise ValueError("it has no key that may verify a signature")
    return KeySet(found)


def _usable(stated: list[dict[str, Any]]) -> Iterator[VerifyingKey]:
    for jwk in stated:
        kid = jwk.get("kid", "")
        members = _PUBLIC.get(str(jwk.get("kty")), ())
        if not members or not isinstance(kid, str) or not _for_verifying(jwk):
            continue
        public: dict[str, Any] = {"kty": jwk["kty"], **{name: jwk.get(name) for name in members}}
        try:
            key = JWKRegistry.import_key(public)
            algorithms = _algorithms(key, jwk)
            if algorithms and isinstance(key, PublicKey):
                yield VerifyingKey(kid, algorithms, key, key.thumbprint())
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue


def _for_verifying(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) < _RSA_MIN_CHARACTERS:
        return False
    return jwk.get("use", "sig") == "sig" and (
        isinstance(operations, list) and "verify" in operations
    )


def _algorithms(key: Any, jwk: dict[str, Any]) -> frozenset[str]:
    if isinstance(key, RSAKey):
        fit = _RSA if key.public_key.key_size >= RSA_MIN_BITS else frozenset[str]()
    else:
        fit = _CURVES.get(jwk["crv"], frozenset())
    stated = jwk.get("alg")
    if stated is None or (stated == "Ed25519" and "EdDSA" in fit):
        return fit
    return fit & {stated} if stated != "EdDSA" else fit & {"EdDSA", "Ed25519"}
