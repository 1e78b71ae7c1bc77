"""The auditor's key: a file that only its user reads, and the line that everybody may have."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from symphainy_runtime.audit.notes import SignerKey, VerifierKey
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError

_MODE = 0o600
_SEED_BYTES = 32


def create_key(path: Path, name: str) -> SignerKey:
    """Make a new key and write it to `path`, which must not be there yet; mode 0600.

    Raises:
        KeyUnusable: no key can have that name.
        OperatorError: the file is there, or could not be written.
    """
    key = SignerKey(name, secrets.token_bytes(_SEED_BYTES))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(handle, "w") as file:
            file.write(key.secret_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise OperatorError(
            f"{path} is there already.",
            code="audit_key_exists",
            field="audit_key_file",
            cure="Keep it: what it signed is verified with it. Name another file for a new key.",
        ) from error
    except OSError as error:
        raise OperatorError(
            f"{path} could not be written: {error.strerror}",
            code="audit_key_not_written",
            field="audit_key_file",
            cure="Set SYMPHAINY_AUDIT_KEY_FILE to a file in a folder that can be written.",
        ) from error
    return key


def signer_key(settings: RuntimeSettings) -> SignerKey:
    """The key to sign with.

    Raises:
        OperatorError: there is none, others than its user may read it, or it is not a key.
    """
    path = settings.audit_key_path()
    try:
        readable = path.stat().st_mode & 0o077
        text = path.read_text()
    except OSError as error:
        raise OperatorError(
            f"The auditor's key {path} cannot be read: {error.strerror}",
            code="audit_key_missing",
            field="audit_key_file",
            cure="Make one with `symphainy audit key`, or set SYMPHAINY_AUDIT_KEY_FILE.",
        ) from error
    if readable:
        raise OperatorError(
            f"Others than its user may read the auditor's key {path}.",
            code="audit_key_exposed",
            field="audit_key_file",
            cure=f"chmod 600 {path}; if somebody may have read it, make a new key.",
        )
    return SignerKey.parse(text)


def verifier_keys(settings: RuntimeSettings, named: tuple[str, ...] = ()) -> list[VerifierKey]:
    """Whose signatures count: those named, else those of the settings, else the auditor's own.

    Raises:
        OperatorError: there is none, or one is not a key.
    """
    texts = named or tuple(re.split(r"[\s,]+", settings.audit_verifier_keys.strip()))
    keys = [VerifierKey.parse(text) for text in texts if text]
    if keys:
        return keys
    if not settings.audit_key_path().exists():
        raise OperatorError(
            "Nobody says whose checkpoints count.",
            code="verifier_key_missing",
            field="audit_verifier_keys",
            cure="Name the line that `symphainy audit key` printed: --verifier-key, or "
            "SYMPHAINY_AUDIT_VERIFIER_KEYS.",
        )
    return [signer_key(settings).verifier]
