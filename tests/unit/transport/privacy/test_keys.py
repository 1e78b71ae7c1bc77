"""Wrapping keys as files, and the data keys that they wrap in the object store.

- A wrapped secret comes back; another tenant's key, and a changed wrapping, give nothing.
- A key file is its user's alone; one that others may read is refused, and so is one that is missing
  or cut: not taken for destroyed.
- A destroyed key is gone, stays gone, and there is never another of that name.
- A tenant has no keys before the first generation; each new one leaves the older ones.
- Unwrapped keys are kept for their time and no longer; nothing is kept of a shredded tenant.
- Without the wrapping key, what lies in the object store opens nothing.
- No id reaches beyond its folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from symphainy_transport.privacy.envelope import fresh_secret
from symphainy_transport.privacy.errors import ContentShredded, KeysUnusable
from symphainy_transport.privacy.keyring import CACHE_S, NONE_S, Keyring
from symphainy_transport.privacy.services import LocalKeys


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def service(folder: Path) -> LocalKeys:
    return LocalKeys(folder)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "objects", mkdir=True)


@pytest.fixture
def later() -> list[Callable[[], None]]:
    return []


@pytest.fixture
def keyring(
    store: LocalStore, service: LocalKeys, time: Time, later: list[Callable[[], None]]
) -> Keyring:
    return Keyring(store, service, time, later=later.append)


def create(keyring: Keyring, tenant: str = "acme") -> int:
    return keyring.create(tenant, required=False, at=1, by="olga")


def test_what_was_wrapped_comes_back(service: LocalKeys) -> None:
    secret = fresh_secret()
    for tenant in ("acme", "rival"):
        service.create(tenant)
    wrapped = service.wrap("acme", secret)
    assert secret not in wrapped
    assert service.unwrap("acme", wrapped) == secret
    with pytest.raises(KeysUnusable):
        service.unwrap("rival", wrapped)
    with pytest.raises(KeysUnusable):
        service.unwrap("acme", wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    with pytest.raises(KeysUnusable):
        service.unwrap("acme", b"")


def test_a_second_creation_changes_nothing(service: LocalKeys) -> None:
    service.create("acme")
    wrapped = service.wrap("acme", fresh_secret())
    service.create("acme")
    service.unwrap("acme", wrapped)


def test_a_key_file_is_its_users_alone(service: LocalKeys, folder: Path) -> None:
    service.create("acme")
    file = folder / "acme.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    file.chmod(0o604)
    with pytest.raises(KeysUnusable) as refused:
        service.wrap("acme", fresh_secret())
    assert refused.value.code == "keys_exposed"
    assert "chmod 600" in refused.value.cure


@pytest.mark.parametrize("harm", [lambda f: f.unlink(), lambda f: f.write_bytes(b"short")])
def test_what_is_lost_is_not_taken_for_destroyed(
    service: LocalKeys, folder: Path, harm: Callable[[Path], object]
) -> None:
    service.create("acme")
    wrapped = service.wrap("acme", fresh_secret())
    harm(folder / "acme.key")
    with pytest.raises(KeysUnusable):
        service.unwrap("acme", wrapped)


def test_a_destroyed_key_is_gone_for_good(service: LocalKeys, folder: Path) -> None:
    service.create("acme")
    wrapped = service.wrap("acme", fresh_secret())
    service.destroy("acme")
    service.destroy("acme")
    assert not (folder / "acme.key").exists()
    for act in (
        lambda: service.unwrap("acme", wrapped),
        lambda: service.wrap("acme", fresh_secret()),
        lambda: service.create("acme"),
    ):
        with pytest.raises(ContentShredded):
            act()


def test_generations_follow_each_other(keyring: Keyring, time: Time) -> None:
    assert keyring.of("acme") is None
    assert [create(keyring), create(keyring)] == [1, 2]
    found = keyring.of("acme")
    assert found is not None
    assert sorted(found.keys) == [1, 2]
    assert found.newest.generation == 2
    told, shredded = keyring.told("acme")
    assert [(one.generation, one.created_by) for one in told] == [(1, "olga"), (2, "olga")]
    assert shredded is None


def test_keys_are_kept_for_their_time(
    keyring: Keyring, store: LocalStore, service: LocalKeys, time: Time
) -> None:
    create(keyring)
    assert keyring.of("acme") is not None
    Keyring(store, service).shred("acme", at=2, by="olga", reason="over")
    time.now = CACHE_S - 0.1
    assert keyring.of("acme") is not None
    time.now = CACHE_S
    with pytest.raises(ContentShredded):
        keyring.of("acme")


def test_that_there_are_none_is_looked_at_again_beside_what_goes_on(
    keyring: Keyring,
    store: LocalStore,
    service: LocalKeys,
    time: Time,
    later: list[Callable[[], None]],
) -> None:
    assert keyring.of("acme") is None
    create(Keyring(store, service))
    assert keyring.of("acme") is None
    assert later == []
    time.now = NONE_S
    assert keyring.of("acme") is None
    assert keyring.of("acme") is None
    [look] = later
    look()
    assert keyring.of("acme") is not None


def test_keys_are_looked_at_again_before_their_time_is_over(
    keyring: Keyring,
    store: LocalStore,
    service: LocalKeys,
    time: Time,
    later: list[Callable[[], None]],
) -> None:
    create(keyring)
    assert keyring.of("acme") is not None
    create(Keyring(store, service))
    time.now = CACHE_S / 2
    found = keyring.of("acme")
    assert found is not None
    assert sorted(found.keys) == [1]
    [look] = later
    look()
    found = keyring.of("acme")
    assert found is not None
    assert sorted(found.keys) == [1, 2]
    Keyring(store, service).shred("acme", at=2, by="olga", reason="over")
    time.now += CACHE_S / 2
    assert keyring.of("acme") is not None
    later[1]()
    with pytest.raises(ContentShredded):
        keyring.of("acme")


def test_a_look_that_fails_leaves_what_is_held_until_its_time_is_over(
    keyring: Keyring, folder: Path, time: Time, later: list[Callable[[], None]]
) -> None:
    create(keyring)
    assert keyring.of("acme") is not None
    (folder / "acme.key").rename(folder / "elsewhere")
    time.now = CACHE_S / 2
    assert keyring.of("acme") is not None
    later[0]()
    assert keyring.of("acme") is not None
    time.now = CACHE_S
    with pytest.raises(KeysUnusable):
        keyring.of("acme")


def test_a_shredding_is_told_as_it_was_the_first_time(keyring: Keyring) -> None:
    create(keyring)
    first = keyring.shred("acme", at=2, by="olga", reason="over")
    assert keyring.shred("acme", at=3, by="otto", reason="again") == first
    assert keyring.told("acme")[1] == first
    with pytest.raises(ContentShredded):
        keyring.of("acme")
    with pytest.raises(ContentShredded):
        create(keyring)


def test_a_shredding_that_was_cut_off_is_one(
    keyring: Keyring, service: LocalKeys, store: LocalStore
) -> None:
    create(keyring)
    service.destroy("acme")
    fresh = Keyring(store, service)
    with pytest.raises(ContentShredded):
        fresh.of("acme")


def test_a_backup_of_the_object_store_opens_nothing(
    keyring: Keyring, store: LocalStore, tmp_path: Path
) -> None:
    create(keyring)
    found = keyring.of("acme")
    assert found is not None
    sealed = found.newest.seal(b"json", b"", b"{}")
    backup = {
        one["path"]: bytes(obstore.get(store, one["path"]).bytes())
        for page in obstore.list(store, ".keys/")
        for one in page
    }
    keyring.shred("acme", at=2, by="olga", reason="")
    restored = LocalStore(tmp_path / "restored", mkdir=True)
    for path, value in backup.items():
        obstore.put(restored, path, value)
    other = Keyring(restored, LocalKeys(tmp_path / "other"))
    with pytest.raises(KeysUnusable):
        other.of("acme")
    other = Keyring(restored, LocalKeys(tmp_path / "keys"))
    with pytest.raises(ContentShredded):
        other.of("acme")
    assert b"{}" not in sealed


@pytest.mark.parametrize("tenant", ["../acme", "a/b", "", ".keys", "A"])
def test_no_id_reaches_beyond_its_folder(keyring: Keyring, tenant: str) -> None:
    assert keyring.of(tenant) is None


async def test_ready_has_them_at_hand(keyring: Keyring) -> None:
    create(keyring)
    await keyring.ready("acme")
    assert keyring.of("acme") is not None
