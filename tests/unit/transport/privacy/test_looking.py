"""Processes hear of a tenant's keys at different times: none of them takes another's for made up.

- What is sealed with a generation that was made since ours were looked at opens.
- So does what is sealed for a tenant of which we thought that it had no keys; of forged content
  for a tenant without keys we look again no more often than its time says.
- A number that no generation can have by now is looked for by nobody.
- What cannot be looked at is not decided.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import obstore
import pytest
from obstore.store import LocalStore

from symphainy_transport.privacy.content import MOST_NEW, Content, Standing
from symphainy_transport.privacy.errors import ContentCorrupt, KeysUnavailable
from symphainy_transport.privacy.keyring import AGAIN_S, Keyring
from symphainy_transport.privacy.marking import token
from symphainy_transport.privacy.services import LocalKeys


class Time:
    """A process's clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting(Keyring):
    """Counts how often the object store is asked."""

    looks = 0

    def _stored(self, tenant_id: str):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super()._stored(tenant_id)


class Process:
    """One of several with the same keys."""

    def __init__(self, root: Path) -> None:
        self.time = Time()
        store = LocalStore(root / "objects", mkdir=True)
        self.keyring = Counting(store, LocalKeys(root / "keys"), self.time, later=lambda _: None)
        self.content = Content(self.keyring)

    def seal(self) -> bytes:
        return self.content.of("acme").seal("place", b'"said"')

    def open(self, sealed: bytes) -> bytes:
        return self.content.of("acme").with_keys_of(sealed).open(sealed)

    def make(self) -> None:
        self.keyring.create("acme", required=False, at=1, by="ann")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def test_a_generation_that_somebody_made_since_opens(root: Path) -> None:
    ours, theirs = Process(root), Process(root)
    theirs.make()
    assert ours.open(theirs.seal()) == b'"said"'
    theirs.make()
    assert ours.open(theirs.seal()) == b'"said"'
    looks = ours.keyring.looks
    assert ours.open(theirs.seal()) == b'"said"'
    assert ours.keyring.looks == looks


def test_so_does_what_was_sealed_before_we_knew_of_any_key(root: Path) -> None:
    ours, theirs = Process(root), Process(root)
    assert ours.content.of("acme").standing is Standing.CLEAR
    theirs.make()
    sealed = theirs.seal()
    ours.time.now = AGAIN_S
    known = ours.content.of("acme")
    assert known.reveal([msgspec.json.decode(sealed)]) == ["said"]
    assert known.open(sealed) == ours.open(sealed) == b'"said"'


def test_forged_content_has_nobody_look_for_ever(root: Path) -> None:
    ours = Process(root)
    forged = token(b"\x01" + (1).to_bytes(4, "big") + bytes(40))
    for _ in range(20):
        assert ours.open(forged) == forged
    assert ours.keyring.looks == 1
    ours.time.now += AGAIN_S
    assert ours.open(forged) == forged
    assert ours.keyring.looks == 2
    ours.make()
    looks = ours.keyring.looks
    far = token(b"\x01" + (2 + MOST_NEW).to_bytes(4, "big") + bytes(40))
    for _ in range(3):
        with pytest.raises(ContentCorrupt):
            ours.open(far)
    assert ours.keyring.looks == looks + 1  # the first one for what was just made


def test_what_cannot_be_looked_at_is_not_decided(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = Process(root), Process(root)
    theirs.make()
    assert ours.open(theirs.seal()) == b'"said"'
    theirs.make()
    sealed = theirs.seal()

    def away(*_: object) -> object:
        raise obstore.exceptions.GenericError("away")

    monkeypatch.setattr(obstore, "list", away)
    with pytest.raises(KeysUnavailable):
        ours.open(sealed)
