"""How sealed content stands in a record: JSON that says so. It needs no key, and no cipher.

Whoever carries JSON carries it, embeds it and shows it without knowing.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Final

from symphainy_transport.privacy.errors import ContentCorrupt

SEALED: Final = "$sealed"
SEALED_SUFFIX: Final = ".sealed"
"""How the URI of a sealed artifact ends."""
_BEGIN, _END = b'{"$sealed":"', b'"}'
_BEGIN_TEXT, _END_TEXT = _BEGIN.decode(), _END.decode()


def is_sealed(raw: bytes) -> bool:
    """Whether a member of a record is, as a whole, sealed content."""
    return raw.startswith(_BEGIN)


def holds_sealed(raw: bytes) -> bool:
    """Whether some of it may be."""
    return b"$sealed" in raw


def sealed_in(value: Any) -> str | None:
    """The text of a sealed JSON value; None if it is another."""
    if isinstance(value, dict) and len(value) == 1:
        inner = value.get(SEALED)
        return inner if isinstance(inner, str) else None
    return None


def sealed_text_in(text: str) -> str | None:
    """The same of a text that was sealed as such."""
    if text.startswith(_BEGIN_TEXT):
        return text.removeprefix(_BEGIN_TEXT).removesuffix(_END_TEXT)
    return None


def token(sealed: bytes) -> bytes:
    """Sealed bytes as a member of a record."""
    return _BEGIN + b2a_base64(sealed, newline=False) + _END


def from_token(raw: bytes) -> bytes:
    """The sealed bytes of what `token` made.

    Raises:
        ContentCorrupt: it is none.
    """
    return from_inner(raw.removeprefix(_BEGIN).removesuffix(_END))


def from_inner(inner: str | bytes) -> bytes:
    """The same, of the text in it."""
    try:
        return a2b_base64(inner, strict_mode=True)
    except ValueError as error:
        raise ContentCorrupt("Sealed content is not base64.") from error
