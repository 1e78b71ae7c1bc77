"""The seal of intents that the system itself states: HMAC-SHA256 under a secret of its processes.

A gateway that has established who calls seals what it appends, so that nobody who may write to the
write-ahead log can claim to be somebody: without the secret there is no seal. The seal stands in
`signature`; `authentication` goes on saying how the principal was established. A producer's own
signature is another thing, and stands in `signing`.

Both are made over the *canonical bytes* of the intent: its Avro single-object encoding (C3 01, the
schema's CRC-64-AVRO fingerprint in 8 bytes little-endian, then the datum) with `signature` empty.
That is the record's value in Kafka but for its signature, and anybody with an Avro library can
make it.

This module stands on transport, the lowest floor that both the SDK and the runtime may use; it
needs the standard library alone, so that an owner does without what `signing` imports.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from msgspec.structs import replace

from symphainy_schemas.codec import encode
from symphainy_schemas.records import Intent

Sign = Callable[[Intent], Intent]
"""Gives an intent its seal or signature, when nothing of it changes any more."""


def canonical(intent: Intent) -> bytes:
    """The bytes that a seal or a signature is made over.

    Raises:
        TypeError, ValueError, OverflowError: a member is not what the schema holds.
    """
    return encode(replace(intent, signature=b"") if intent.signature else intent)


def signed_part(intent: Intent, value: bytes | None) -> bytes:
    """The canonical bytes of an intent that stands in a record, whose value is `value`; None where
    it stands in none yet.

    What an older schema wrote is not written anew under today's: the signature is the last member
    in each schema that has one, and goes from the record's end.
    """
    if value is None:
        return canonical(intent)
    size = len(intent.signature)
    tail = 0 if not size else size + (1 if size < 64 else 2)  # zigzag: 63 is the last of one byte
    return value[: len(value) - tail] + b"\0" if tail else value


def seal(intent: Intent, secret: bytes) -> Intent:
    """The intent with its seal.

    Raises:
        TypeError, ValueError, OverflowError: a member is not what the schema holds.
    """
    return replace(intent, signature=_mac(intent, secret))


def sealed(intent: Intent, *secrets: bytes, value: bytes | None = None) -> bool:
    """Whether the intent bears the seal of one of the secrets. Takes constant time for each.
    `value` is the record's, where it stands in one."""
    signed = signed_part(intent, value)
    found = False
    for secret in secrets:
        mac = hmac.digest(secret, signed, hashlib.sha256)
        found |= hmac.compare_digest(mac, intent.signature)
    return found


def sealing(secret: bytes) -> Sign:
    """What seals with the secret."""
    return lambda intent: seal(intent, secret)


def _mac(intent: Intent, secret: bytes) -> bytes:
    return hmac.digest(secret, canonical(intent), hashlib.sha256)
