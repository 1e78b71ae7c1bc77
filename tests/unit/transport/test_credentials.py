"""What a credential allows.

- No scope allows everything; else a scope is an intent type, a verb, or a beginning and `*`.
- A key that is revoked is revoked, whatever else; one that expires does not count from then on.
"""

from __future__ import annotations

import pytest

from symphainy_schemas.records import ApiKey
from symphainy_transport.credentials import READ, SCOPE, in_scope, key_status


@pytest.mark.parametrize(
    ("scopes", "wanted", "allowed"),
    [
        ((), "content.ingest", True),
        ((), READ, True),
        (("*",), READ, True),
        (("*",), "runtime.cancel", True),
        (("content.*",), "content.ingest", True),
        (("content.*",), "contents.ingest", False),
        (("content.*",), "content", False),
        (("content.*",), READ, False),
        (("content.ing*",), "content.ingest", True),
        (("content.ing*",), "content.delete", False),
        (("runtime.cancel",), "runtime.cancel", True),
        (("runtime.cancel",), "runtime.cancel_all", False),
        (("runtime.cancel", READ), READ, True),
        (("",), "content.ingest", False),
    ],
)
def test_scopes(scopes: tuple[str, ...], wanted: str, allowed: bool) -> None:
    assert in_scope(scopes, wanted) is allowed


@pytest.mark.parametrize("text", ["*", "read", "a.*", "a.b", "a.b*", "runtime.open_session"])
def test_what_is_a_scope(text: str) -> None:
    assert SCOPE.fullmatch(text)


@pytest.mark.parametrize("text", ["", "write", "a", "a.", "*.a", "a.*b", "A.b", "a.b.c", "read*"])
def test_what_is_no_scope(text: str) -> None:
    assert not SCOPE.fullmatch(text)


def test_a_key_expires_and_is_revoked() -> None:
    def status(expires_at: int, revoked: bool) -> str:
        key = ApiKey(
            key_id="k", version=1, tenant_id="a", principal="p", secret_sha256=b"",
            created_at=1, revoked=revoked, expires_at=expires_at,
        )  # fmt: skip
        return key_status(key, 100)

    assert status(0, False) == status(101, False) == "active"
    assert status(100, False) == status(1, False) == "expired"
    assert status(0, True) == status(1, True) == "revoked"
