"""Whether an intent was stated by whom it says: sealed by the system, or signed by its producer.

Who may write to the write-ahead log could else claim to be anybody. Where no secret is set, nobody
can be told from anybody, and what an intent says of its principal is believed (docs/identity.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symphainy_schemas.records import ApiKey, Error, Intent, Tenant
from symphainy_transport.sealing import sealed

SIGNATURE = "signature"  # `signing.SIGNATURE`; that imports what few owners need


class Proving:
    """Asks for the proof of an intent."""

    def __init__(self, secrets: Sequence[bytes], key: Callable[[str], ApiKey | None]) -> None:
        """`secrets` are those by which the system seals; `key` finds a credential by its id."""
        self._secrets = secrets
        self._key = key

    def problem(
        self, intent: Intent, value: bytes, tenant: Tenant | None, now: int
    ) -> Error | None:
        """Why the intent does not count; `value` is its record as it stands, `now` in ms."""
        if intent.authentication == SIGNATURE and not self._is_sealed(intent, value):
            from symphainy_transport.signing import verified

            return verified(intent, self._key(intent.credential), now, value)
        if not self._secrets or self._is_sealed(intent, value):
            return None
        claims = (intent.roles, intent.attributes, intent.authentication, intent.credential)
        if any(claims):
            return _error("It states roles or a credential, and nobody has sealed or signed it.")
        if tenant is not None and not tenant.unsigned:
            return _error("The tenant takes no intent that nobody has sealed or signed.")
        return None

    def _is_sealed(self, intent: Intent, value: bytes) -> bool:
        return bool(intent.signature) and sealed(intent, *self._secrets, value=value)


def _error(message: str) -> Error:
    return Error(
        code="signature_required",
        message=message,
        field="/signature",
        cure="State it through a gateway, or sign it: symphainy key create --signing.",
    )
