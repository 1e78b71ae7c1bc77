"""The auditor's key.

- The file is its user's alone, is never written over, and is not used when others may read it.
- What verifies is what was named, else what is set, else the key that is there; else it is said.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from symphainy_runtime.audit.keys import create_key, signer_key, verifier_keys
from symphainy_runtime.audit.notes import KeyUnusable, SignerKey
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError

OTHER = str(SignerKey("other.example", b"o" * 32).verifier)
THIRD = str(SignerKey("third.example", b"t" * 32).verifier)


@pytest.fixture
def settings(tmp_path: Path) -> RuntimeSettings:
    return RuntimeSettings(data_dir=tmp_path)


def test_a_key_is_its_users_alone_and_stays(settings: RuntimeSettings) -> None:
    path = settings.audit_key_path()
    made = create_key(path, "auditor.test")
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(signer_key(settings).verifier) == str(made.verifier)
    with pytest.raises(OperatorError, match="is there already") as refused:
        create_key(path, "auditor.test")
    assert refused.value.code == "audit_key_exists"
    assert str(signer_key(settings).verifier) == str(made.verifier)


def test_an_exposed_key_does_not_sign(settings: RuntimeSettings) -> None:
    create_key(settings.audit_key_path(), "auditor.test")
    settings.audit_key_path().chmod(0o640)
    with pytest.raises(OperatorError, match="chmod 600"):
        signer_key(settings)


def test_a_missing_or_altered_key_is_named(settings: RuntimeSettings) -> None:
    with pytest.raises(OperatorError, match="symphainy audit key"):
        signer_key(settings)
    path = settings.audit_key_path()
    create_key(path, "auditor.test")
    path.write_text(path.read_text().replace("a", "b"))
    with pytest.raises(KeyUnusable):
        signer_key(settings)


def test_who_verifies_is_named_or_set_or_here(settings: RuntimeSettings) -> None:
    def names(one: RuntimeSettings, *named: str) -> list[str]:
        return [str(key) for key in verifier_keys(one, named)]

    with pytest.raises(OperatorError, match="SYMPHAINY_AUDIT_VERIFIER_KEYS"):
        verifier_keys(settings)
    own = create_key(settings.audit_key_path(), "auditor.test").verifier
    told = settings.model_copy(update={"audit_verifier_keys": f" {OTHER}, {THIRD}\n"})
    assert names(settings) == [str(own)]
    assert names(told) == [OTHER, THIRD]
    assert names(told, THIRD) == [THIRD]
