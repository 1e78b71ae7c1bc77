"""`symphainy.testing` is a door; with no package behind it, it says what to install."""

from __future__ import annotations

import importlib
import sys

import pytest

import symphainy.testing
import symphainy_testing


def test_the_door_gives_all_that_is_public() -> None:
    assert sorted(symphainy.testing.__all__) == sorted(symphainy_testing.__all__)
    for name in symphainy_testing.__all__:
        assert getattr(symphainy.testing, name) is getattr(symphainy_testing, name)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "symphainy_testing", None)
    monkeypatch.delitem(sys.modules, "symphainy.testing")
    with pytest.raises(ImportError, match=r"pip install 'symphainy\[testing\]'"):
        importlib.import_module("symphainy.testing")
