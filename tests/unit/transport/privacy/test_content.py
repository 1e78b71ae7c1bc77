"""Sealing and opening one tenant's content.

- What is sealed opens to what it was, alone or within other JSON; what was in it is not looked at
  again.
- Another tenant's key, another kind, a changed byte and a cut end open nothing.
- The same content in the same context is the same bytes, in another it is not.
- A new generation seals what is new; older ones still open.
- Destroyed keys open and seal nothing; without keys nothing is sealed, and what looks so is data.
- Keys show nothing of themselves.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_transport.privacy.content import Opener, Standing
from symphainy_transport.privacy.envelope import DataKey
from symphainy_transport.privacy.errors import ContentCorrupt, ContentShredded, KeysNotSet
from symphainy_transport.privacy.keyring import TenantKeys
from symphainy_transport.privacy.marking import from_token, is_sealed, token

SECRET = bytes(range(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def opener(tenant: str = "acme", generations: int = 1, secret: bytes = SECRET) -> Opener:
    keys = {n: DataKey(tenant, n, bytes([n]) + secret[1:]) for n in range(1, generations + 1)}
    return Opener(tenant, Standing.SEALED, TenantKeys(tenant, keys, False))


@given(JSON)
def test_what_is_sealed_opens_to_what_it_was(value: object) -> None:
    one, raw = opener(), msgspec.json.encode(value)
    sealed = one.seal("place", raw)
    assert is_sealed(sealed)
    assert one.open(sealed) == raw
    around = msgspec.json.encode({"status": "ok", "of": [msgspec.Raw(sealed)]})
    assert msgspec.json.decode(one.open(around)) == {"status": "ok", "of": [value]}


@given(st.text(max_size=50))
def test_a_text_stays_one(text: str) -> None:
    one = opener()
    sealed = one.seal_text("place", text)
    assert isinstance(sealed, str)
    assert one.reveal({"message": sealed}) == {"message": text}
    assert not text or text not in sealed or len(text) < 5


def test_what_was_in_it_is_not_opened_again() -> None:
    one = opener()
    inner = one.seal("a", b'{"secret":1}')
    stated = b'{"payload":' + inner + b"}"
    assert one.open(one.seal("b", stated)) == stated


@pytest.mark.parametrize(
    "other",
    [opener("rival"), opener(secret=bytes(32))],
    ids=["another tenant", "another key"],
)
def test_nobody_elses_key_opens_it(other: Opener) -> None:
    with pytest.raises(ContentCorrupt):
        other.open(opener().seal("place", b"{}"))


def test_what_was_changed_does_not_open() -> None:
    one = opener()
    sealed = from_token(one.seal("place", b'{"a":1}'))
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(ContentCorrupt):
            one.open(token(bytes(changed)))
    for end in range(len(sealed)):
        with pytest.raises(ContentCorrupt):
            one.open(token(sealed[:end]))
    with pytest.raises(ContentCorrupt):
        one.open(b'{"$sealed":"\xc3\xa4"}')


def test_one_kind_is_not_opened_as_another() -> None:
    one = opener()
    text = one.seal_text("place", "{}").encode()
    with pytest.raises(ContentCorrupt):
        one.open(text)
    artifact = one.seal_bytes(b"{}")
    assert artifact is not None
    with pytest.raises(ContentCorrupt):
        one.open(token(artifact))


def test_the_same_in_the_same_place_is_the_same() -> None:
    one = opener()
    assert one.seal("a", b"{}") == one.seal("a", b"{}")
    assert one.seal("a", b"{}") != one.seal("b", b"{}")
    assert one.seal_bytes(b"x") == one.seal_bytes(b"x")
    assert one.seal_bytes(b"x") != opener("rival").seal_bytes(b"x")


def test_older_generations_still_open() -> None:
    before, after = opener(), opener(generations=3)
    old = before.seal("a", b"{}")
    assert after.open(old) == b"{}"
    new = after.seal("a", b"{}")
    assert new != old
    with pytest.raises(ContentCorrupt):
        before.open(new)
    assert {one.seal("a", b"{}") for one in after.of_each_key()} >= {old, new}
    assert before.index == after.index


def test_destroyed_keys_open_and_seal_nothing() -> None:
    sealed = opener().seal("a", b"{}")
    gone = Opener("acme", Standing.SHREDDED)
    for act in (lambda: gone.open(sealed), lambda: gone.seal("a", b"{}"), gone.require_readable):
        with pytest.raises(ContentShredded):
            act()
    shown, why = gone.show({"result": msgspec.json.decode(sealed), "status": "succeeded"})
    assert shown == {"result": {"content": "shredded"}, "status": "succeeded"}
    assert why == "shredded"
    assert gone.open(b'{"clear":1}') == b'{"clear":1}'


def test_without_keys_nothing_is_sealed_and_what_looks_so_is_data() -> None:
    sealed = opener().seal("a", b"{}")
    clear, unknown = Opener("acme", Standing.CLEAR), Opener("acme", Standing.UNKNOWN)
    assert clear.open(sealed) == sealed
    assert clear.seal("a", b"{}") == unknown.seal("a", b"{}") == b"{}"
    assert clear.show({"a": msgspec.json.decode(sealed)})[1] == ""
    with pytest.raises(KeysNotSet):
        unknown.open(sealed)


def test_keys_show_nothing_of_themselves() -> None:
    one = opener()
    told = f"{one!r} {one.keys!r} {one}"
    assert SECRET.hex() not in told
    assert repr(bytes([1]) + SECRET[1:])[2:-1] not in told
    assert one.index.hex() not in told
    assert repr(one.index) not in told
