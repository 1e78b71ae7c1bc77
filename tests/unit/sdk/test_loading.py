"""From "module:name" to a realm; what is not there is said, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphainy import DeclarationError
from symphainy.worker import load
from symphainy_schemas.errors import CallerError

MODULE = """
from symphainy import Realm, RuntimeParticipant
realm = Realm("content")

class Reader(RuntimeParticipant):
    def __init__(self, *supported):
        self.supported = list(supported)
    async def handle_intent(self, intent, context):
        return {}
    def get_supported_intents(self):
        return self.supported

class Held:
    reader = Reader("insights.read", "insights.write")

mixed = Reader("insights.read", "content.read")
empty = Reader()
number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working folder."""
    name = f"loaded_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import not_installed_anywhere")
    monkeypatch.chdir(tmp_path)
    return name


def test_a_realm_is_loaded(module: str) -> None:
    assert load(f"{module}:realm").name == "content"


def test_a_participant_is_a_realm_of_its_own(module: str) -> None:
    realm = load(f"{module}:Held.reader")
    assert (realm.name, [h.intent_type for h in realm]) == (
        "insights",
        ["insights.read", "insights.write"],
    )


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("{}", "is not module:name"),
        (":realm", "is not module:name"),
        ("{}_not:realm", "which is not there"),
        ("{}.sub:realm", "which is not there"),
        ("{}:relm", "names 'relm', which is not there"),
        ("{}:number", "is a int"),
    ],
)
def test_what_is_no_realm_is_refused(module: str, target: str, says: str) -> None:
    with pytest.raises(CallerError) as refused:
        load(target.format(module))
    assert says in refused.value.message
    assert refused.value.cure


def test_a_module_that_misses_an_import_says_which(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load(f"{module}_broken:realm")


@pytest.mark.parametrize("name", ["mixed", "empty"])
def test_a_participant_of_no_single_realm_is_refused(module: str, name: str) -> None:
    with pytest.raises(DeclarationError):
        load(f"{module}:{name}")
