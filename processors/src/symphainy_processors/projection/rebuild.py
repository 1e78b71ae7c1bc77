"""Rebuilding the read model: delete what a partition has, project its journal to its end.

It is an ordinary projector with an end, so it may run beside one: the position decides who writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis

from symphainy_processors.projection.projector import Projector
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings

_SCAN_COUNT = 1_000


class Rebuild:
    """One rebuild, to the end that the journal has when it is made."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._projector = Projector(settings, "symphainy-rebuild")
        self._ends = self._projector.ends()
        self.partitions = len(self._ends)
        self.total = sum(high - low for low, high in self._ends.values())

    def delete(self) -> int:
        """Delete every key of the read model; how many."""
        redis: Any = Redis.from_url(self._settings.require_redis())
        deleted = 0
        for partition in self._ends:
            batch: list[bytes] = []
            pattern = Keys(self._settings.redis_prefix, partition).root + "*"
            for key in redis.scan_iter(match=pattern, count=_SCAN_COUNT):
                batch.append(key)
                if len(batch) == _SCAN_COUNT:
                    deleted += redis.unlink(*batch)
                    batch = []
            if batch:
                deleted += redis.unlink(*batch)
        redis.close()
        return deleted

    def run(self, progress: Callable[[int], None]) -> None:
        """Project to the end; `progress` is told the records that are behind.

        Raises:
            OperatorError: a partition cannot be read to its end.
        """
        self._projector.start()
        while True:
            for error in self._projector.halted.values():
                raise error
            left = self._projector.behind(self._ends)
            progress(self.total - left)
            if left == 0:
                break
            self._projector.step(0.25)
        self._projector.close()
