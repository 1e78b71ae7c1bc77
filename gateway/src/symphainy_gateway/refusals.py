"""What a caller is told whose credential does not count, and what the operator is told.

The caller learns the class (RFC 6750, section 3.1): one may renew a token that has expired, and
correct its claims; nothing about signatures and keys is told to who has none.
"""

from __future__ import annotations

from symphainy_gateway.problems import Refused
from symphainy_schemas.errors import Unavailable

RENEW = "Get a new token from its issuer."


class Unauthenticated(Refused):
    """No credential that counts. `reason` is for the operator's metric, `about` for the log."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        code: str = "unauthenticated",
        about: str = "",
        field: str = "",
        cure: str = "",
        challenge: bool = True,
    ) -> None:
        """`challenge`: there was a credential, and the answer says that it is invalid."""
        told = b'Bearer realm="symphainy"'
        if challenge:
            told += b', error="invalid_token", error_description="%b"' % _quotable(message)
        super().__init__(
            message, code=code, field=field, cure=cure, headers=((b"www-authenticate", told),)
        )
        self.reason = reason
        self.about = about


def invalid(reason: str, about: str = "") -> Unauthenticated:
    """A token that is not one, or not one of its issuer; which, only the operator is told."""
    return Unauthenticated(
        "The token is not one that is accepted here.",
        code="invalid_token",
        reason=reason,
        about=about,
        cure="Present a token as its issuer gave it, whole and unchanged.",
    )


def bad_claim(claim: str, what: str, about: str) -> Unauthenticated:
    """A genuine token that does not say what is asked."""
    return Unauthenticated(
        f"The token's claim {claim} {what}.",
        code="token_claims",
        reason="claims",
        about=f"{about} {claim}",
        field=claim,
        cure="Have the issuer put it into its tokens.",
    )


def keys_unavailable(issuer: str) -> Unavailable:
    """Nobody can tell now whether the token is genuine."""
    return Unavailable(
        f"The keys of {issuer} cannot be had now.",
        code="identity_unavailable",
        cure="Repeat it after Retry-After; an API key is accepted meanwhile.",
    )


def _quotable(text: str) -> bytes:
    """The text within what RFC 6750 allows in error_description: no quote, no backslash."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text).encode()
