"""The keyring that the settings name. Apart, because it brings ciphers and an object store."""

from __future__ import annotations

from symphainy_transport.artifacts import object_store
from symphainy_transport.privacy.keyring import Keyring
from symphainy_transport.privacy.services import LocalKeys
from symphainy_transport.settings import TransportSettings


def keyring_of(settings: TransportSettings) -> Keyring:
    """Data keys beside the artifacts, wrapped by the keys in the key folder, which is set."""
    assert settings.key_folder is not None
    service = LocalKeys(settings.key_folder)
    store = object_store(settings.artifacts_location())
    return Keyring(store, service, cache_s=settings.key_cache_s)
