"""Who owns a data folder, and where its services answer: an flock and one JSON file.

The kernel releases the lock when its holder dies, however it dies; the file is believed only
while somebody holds the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the services answer; ``attached`` if another process runs them.

    A service that was not asked for has an empty address.
    """

    bootstrap_servers: str
    redis_url: str
    attached: bool = False


class FolderLock:
    """The exclusive lock on a data folder, and what its holder publishes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._endpoints = folder / "endpoints.json"
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Try to become the holder; False if another process (or object) is."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._endpoints.unlink(missing_ok=True)  # of a holder that was killed
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        """Withdraw the endpoints and give up the lock. Nothing if it is not held."""
        if self._file is not None:
            self._endpoints.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def holder(self) -> int | None:
        """The process id that the last holder wrote."""
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def publish(self, endpoints: Endpoints) -> None:
        """Tell others where the services answer, atomically."""
        content = {
            "pid": os.getpid(),
            "bootstrap_servers": endpoints.bootstrap_servers,
            "redis_url": endpoints.redis_url,
        }
        written = self._endpoints.with_suffix(".new")
        written.write_text(json.dumps(content, indent=1), encoding="utf-8")
        written.replace(self._endpoints)

    def published(self) -> Endpoints | None:
        """What the present holder published, marked as attached; None if nothing yet."""
        try:
            content = json.loads(self._endpoints.read_text(encoding="utf-8"))
            pid, servers, url = (content[k] for k in ("pid", "bootstrap_servers", "redis_url"))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Endpoints(servers, url, attached=True) if pid == self.holder() else None
