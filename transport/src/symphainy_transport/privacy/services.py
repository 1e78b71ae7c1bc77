"""Who keeps what opens everything: the key that wraps a tenant's data keys.

A data key lies, wrapped, in the object store: useless without the service. What `shred` destroys is
the wrapping key alone, which stands in no log, no bucket and none of their backups; every wrapped
copy of a data key, however old, is then noise.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from symphainy_transport.privacy.errors import ContentShredded, KeysUnavailable, KeysUnusable

_MODE, _FOLDER_MODE, _OTHERS = 0o600, 0o700, 0o077
_KEY_BYTES, _NONCE_BYTES = 32, 12


class KeyService(Protocol):
    """Keeps one wrapping key a tenant and never shows it. Calls block; any thread may make them."""

    def create(self, tenant_id: str) -> None:
        """Make the tenant's wrapping key, if it has none.

        Raises:
            ContentShredded: it was destroyed; there is never another of that name.
            KeysUnavailable: the service does not answer.
            KeysUnusable: an operator must act.
        """
        ...

    def wrap(self, tenant_id: str, secret: bytes) -> bytes:
        """A data key's secret, wrapped. Raises as `unwrap`."""
        ...

    def unwrap(self, tenant_id: str, wrapped: bytes) -> bytes:
        """The secret of a wrapped data key.

        Raises:
            ContentShredded: the wrapping key was destroyed.
            KeysUnavailable: the service does not answer.
            KeysUnusable: there is no such key, or it did not wrap this; an operator must act.
        """
        ...

    def destroy(self, tenant_id: str) -> None:
        """Destroy the tenant's wrapping key for good; once more does no harm.

        Raises:
            KeysUnavailable: the service does not answer: unknown whether it was.
            KeysUnusable: an operator must act.
        """
        ...


class LocalKeys:
    """Wrapping keys as files, one a tenant, that only their user may read.

    Errors name a file, never its folder: tenants may be told them.

    Where processes run on several machines they share the folder, or use another service. Deleting
    a file does not clean a disk: it is overwritten first, and a disk that copies on write, or a
    backup of the folder, may keep it. So keep the folder out of backups, on an encrypted disk.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made, for its user alone, when the first key is."""
        self._folder = folder

    def create(self, tenant_id: str) -> None:
        """See `KeyService`."""
        if self._destroyed(tenant_id).exists():
            raise ContentShredded(tenant_id)
        try:
            self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            handle = os.open(self._file(tenant_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            return
        except OSError as error:
            raise _unwritable(self._file(tenant_id), error) from error
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())

    def wrap(self, tenant_id: str, secret: bytes) -> bytes:
        """See `KeyService`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key(tenant_id)).encrypt(nonce, secret, tenant_id.encode())

    def unwrap(self, tenant_id: str, wrapped: bytes) -> bytes:
        """See `KeyService`."""
        cipher = AESGCM(self._key(tenant_id))
        nonce, rest = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, rest, tenant_id.encode())
        except (InvalidTag, ValueError) as error:
            raise KeysUnusable(
                f"The key file of tenant {tenant_id} did not wrap its data key.",
                cure="Restore it as it was.",
            ) from error

    def destroy(self, tenant_id: str) -> None:
        """See `KeyService`."""
        file = self._file(tenant_id)
        try:
            self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            # First of all it is said: were this to end here, nobody takes the key for lost.
            self._destroyed(tenant_id).touch(mode=_MODE)
            if file.exists():
                with file.open("r+b") as opened:
                    opened.write(secrets.token_bytes(_KEY_BYTES))
                    opened.flush()
                    os.fsync(opened.fileno())
                file.unlink()
            self._sync()
        except OSError as error:
            raise _unwritable(file, error) from error

    def _key(self, tenant_id: str) -> bytes:
        file = self._file(tenant_id)
        if self._destroyed(tenant_id).exists():
            raise ContentShredded(tenant_id)
        try:
            exposed = file.stat().st_mode & _OTHERS
            key = file.read_bytes()
        except OSError as error:
            raise KeysUnusable(
                f"The key file of tenant {tenant_id} cannot be read: {error.strerror}",
                cure="Restore it, or set SYMPHAINY_KEY_FOLDER to where the keys are.",
            ) from error
        if exposed:
            raise KeysUnusable(
                f"Others than its user may read the key file of tenant {tenant_id}.",
                code="keys_exposed",
                cure=f"chmod 600 {file.name}; if others may have read it, move to another tenant.",
            )
        if len(key) != _KEY_BYTES:
            raise KeysUnusable(
                f"The key file of tenant {tenant_id} is no key.", cure="Restore it as it was."
            )
        return key

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _file(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}.key"

    def _destroyed(self, tenant_id: str) -> Path:
        return self._folder / f"{tenant_id}.destroyed"


def _unwritable(file: Path, error: OSError) -> KeysUnavailable:
    return KeysUnavailable(
        f"{file.name} could not be written: {error.strerror}",
        cure="Set SYMPHAINY_KEY_FOLDER to a folder that can be written.",
    )
