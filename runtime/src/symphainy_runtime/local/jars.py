"""Kafka's jars: from pinned coordinates, through jgo, checked, into jgo's own cache.

``kafka.lock`` names every jar with its SHA-256, so nothing is resolved at start, and what runs is
what was locked: jgo writes downloads in place and only warns of a wrong checksum, so a broken
download would stay in its cache for good. ``python -m symphainy_runtime.local.jars`` writes the
lock anew from ``ROOTS``. A manifest in our cache folder remembers where the jars lie: a later
start needs neither the network nor jgo. Knows nothing of running Kafka.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symphainy_runtime.local.errors import JarsUnavailable

KAFKA_VERSION = "4.3.1"
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",  # where Kafka's own log lines go
)
_LOCK = Path(__file__).with_name("kafka.lock")
_LOCK_HEAD = (
    "# Apache Kafka and all it needs to run, with SHA-256. Written by jars.py; do not edit.\n"
)
_FETCHERS = 8  # jgo opens a connection a file, so latency rules: 46 files in 8 lanes
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar: ``group:artifact:version`` and the SHA-256 of its bytes."""

    coordinate: str
    sha256: str


def kafka_jars(progress: Callable[[str], None] = _log.info) -> tuple[Path, ...]:
    """The jars of Kafka's class path; fetched the first time, and ``progress`` is told so.

    Raises JarsUnavailable if one is not cached and cannot be fetched, or is not what was locked.
    """
    text = _LOCK.read_text(encoding="ascii")
    manifest = cache_dir() / f"kafka-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    remembered = _remembered(manifest)
    if remembered:
        return remembered
    with _one_at_a_time(manifest.with_suffix(".lock")):
        remembered = _remembered(manifest)  # another process may just have fetched them
        if not remembered:
            remembered = _obtain(_parse(text), progress)
            _remember(manifest, remembered)
    return remembered


def cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Our cache folder: SYMPHAINY_CACHE_DIR, or ``symphainy`` where the platform keeps caches."""
    if env.get("SYMPHAINY_CACHE_DIR"):
        return Path(env["SYMPHAINY_CACHE_DIR"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "symphainy"
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symphainy"


def relock() -> str:
    """Resolve ``ROOTS`` anew, with their dependencies; the text of ``kafka.lock``. Needs network.

    Each root by itself, the first wins: resolved together, jgo lets the dependency management of
    one root's parents choose the versions of another's (it pairs Kafka 4.3 with clients 3.9).
    """
    import jgo

    lines: dict[str, str] = {}
    for root in ROOTS:
        for artifact in jgo.resolve(root):
            name = f"{artifact.groupId}:{artifact.artifactId}"
            if name not in lines:
                lines[name] = f"{name}:{artifact.version} {_sha256(artifact.resolve())}\n"
    return _LOCK_HEAD + "".join(sorted(lines.values()))


def _parse(text: str) -> list[LockedJar]:
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return [LockedJar(coordinate, sha256) for coordinate, sha256 in rows]


def _obtain(jars: list[LockedJar], progress: Callable[[str], None]) -> tuple[Path, ...]:
    context = _maven()
    artifacts = [_artifact(context, jar) for jar in jars]
    if not all(artifact.cached_path.exists() for artifact in artifacts):
        progress(f"fetching Kafka {KAFKA_VERSION} (first time only, {len(jars)} jars, 45 MB)")
    pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch-jar")
    try:
        return tuple(pool.map(_checked, artifacts, jars))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _maven() -> Any:
    """jgo's Maven context, with the mirrors and the repository folder of its own settings."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    context = MavenContext(repo_cache=settings.repo_cache)
    context.remote_repos.update(settings.repositories)
    return context


def _artifact(context: Any, jar: LockedJar) -> Any:
    group, name, version = jar.coordinate.split(":")
    return context.project(group, name).at_version(version).artifact()


def _checked(artifact: Any, jar: LockedJar) -> Path:
    """The jar's path; a file that is not what was locked is fetched once more."""
    for _ in range(2):
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # requests' tree, and RuntimeError: translated at this one door
            raise JarsUnavailable(
                f"Kafka's {jar.coordinate} is not cached and cannot be fetched: {error}. Run once"
                " with a Maven repository in reach (a mirror goes into jgo's settings file)."
            ) from error
        if _sha256(path) == jar.sha256:
            return path
        _log.warning("%s is damaged; fetching it again", path)
        path.unlink()
    raise JarsUnavailable(
        f"Kafka's {jar.coordinate} arrived twice with bytes other than the locked ones. Check the"
        " Maven mirror in jgo's settings file."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(manifest: Path) -> tuple[Path, ...]:
    """The manifest's jars, or nothing if one is no longer there in its full size."""
    try:
        sizes: dict[str, int] = json.loads(manifest.read_text(encoding="utf-8"))
        intact = all(os.stat(path).st_size == size for path, size in sizes.items())
    except (OSError, ValueError):
        return ()
    return tuple(Path(path) for path in sizes) if intact else ()


def _remember(manifest: Path, jars: tuple[Path, ...]) -> None:
    sizes = {str(path): path.stat().st_size for path in jars}
    written = manifest.with_suffix(".new")
    written.write_text(json.dumps(sizes, indent=1), encoding="utf-8")
    written.replace(manifest)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """jgo asserts that nobody else downloads the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(relock())
