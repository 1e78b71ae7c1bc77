"""What `symphainy key …` is told.

- An end is a duration from now, a time with its zone, or never, and after now.
- Attributes are JSON where they are, and text else; scopes have one form.
- What is of no use is refused with the option's name.
- A key is shown without its secret and that secret's hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from symphainy_cli.key_options import attributes_of, end_of, named, overlap_of, scopes_of
from symphainy_cli.keys import shown_key
from symphainy_runtime import api_keys
from symphainy_runtime.api_keys import KeyOptions, new_key
from symphainy_schemas.errors import CallerError

NOW = 1_800_000_000_000
DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("never", 0),
        ("90d", NOW + 90 * DAY),
        ("1h30m", NOW + 5_400_000),
        ("2030-01-01T00:00:00Z", 1_893_456_000_000),
        ("2030-01-01T01:00:00+01:00", 1_893_456_000_000),
    ],
)
def test_ends(text: str, end: int) -> None:
    assert end_of(text, NOW) == end


def test_attributes_and_scopes() -> None:
    assert attributes_of(()) == b""
    assert attributes_of(("team=claims", "level=3", 'code="3"', "x=a=b", "on=true")) == (
        b'{"code":"3","level":3,"on":true,"team":"claims","x":"a=b"}'
    )
    assert scopes_of(("content.*", "read", "content.*")) == ("content.*", "read")
    assert overlap_of("24h") == DAY
    assert overlap_of("0s") == 0


@pytest.mark.parametrize(
    ("read", "field"),
    [
        (lambda: end_of("soon", NOW), "--expires"),
        (lambda: end_of("0s", NOW), "--expires"),
        (lambda: end_of("2020-01-01T00:00:00Z", NOW), "--expires"),
        (lambda: end_of("2030-01-01T00:00:00", NOW), "--expires"),
        (lambda: overlap_of("a day"), "--overlap"),
        (lambda: attributes_of(("team",)), "--attribute"),
        (lambda: attributes_of(("=x",)), "--attribute"),
        (lambda: attributes_of(("a=1", "a=2")), "--attribute"),
        (lambda: scopes_of(("everything",)), "--scope"),
        (lambda: named("role", ""), "--role"),
        (lambda: named("role", "a\nb"), "--role"),
        (lambda: named("role", "a" * 201), "--role"),
    ],
)
def test_what_is_of_no_use_is_refused(read: Callable[[], Any], field: str) -> None:
    with pytest.raises(CallerError) as refused:
        read()
    assert refused.value.field == field
    assert refused.value.cure


def test_a_key_is_shown_without_its_secret() -> None:
    text, record = new_key(
        KeyOptions(tenant_id="acme", principal="ada", attributes=b'{"a":1}', expires_at=NOW), 1
    )
    shown = shown_key(record, NOW - 1)
    assert (shown["status"], shown["attributes"], shown["kind"]) == ("active", {"a": 1}, "bearer")
    assert shown["expires_at"] == "2027-01-15T08:00:00+00:00"
    assert shown_key(record, NOW)["status"] == "expired"
    assert text.split("_")[2] not in str(shown)
    assert record.secret_sha256.hex() not in str(shown)
    assert str(record.secret_sha256) not in str(shown)


def test_a_successor_has_all_but_the_key_and_its_end() -> None:
    options = KeyOptions(
        tenant_id="acme", principal="ada", roles=("a",), scopes=("b.*",), attributes=b"{}",
        expires_at=NOW + 5 * DAY, description="d",
    )  # fmt: skip
    _, old = new_key(options, NOW)
    later = NOW + 3 * DAY
    fresh = api_keys.succeeded(old, later, DAY)
    assert fresh.expires_at == later + 5 * DAY
    assert (fresh.roles, fresh.scopes, fresh.attributes) == (("a",), ("b.*",), b"{}")
    assert (fresh.tenant_id, fresh.principal, fresh.description) == ("acme", "ada", "d")
    assert api_keys.expiring(old, later).expires_at == later
    assert api_keys.expiring(old, NOW + 9 * DAY).expires_at == NOW + 5 * DAY
    assert api_keys.expiring(old, later).version == 2
    for gone in (api_keys.revoked(old), api_keys.expiring(old, later)):
        with pytest.raises(CallerError) as refused:
            api_keys.succeeded(gone, later, 0)
        assert refused.value.code == "key_not_active"
