"""Rebuilding the read model: delete what a partition has, project its journal to its end.

It is an ordinary projector with an end, so it may run beside one: the position decides who writes,
and says so while something is being deleted (`clearing`). Stopped anywhere and run again it goes on
where it stood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from symphainy_processors.projection.clearing import Clearing
from symphainy_processors.projection.projector import Projector
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import Unavailable


class Rebuild:
    """One rebuild, to the end that the journal has when it is made."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._projector = Projector(settings, "symphainy-rebuild")
        self._ends = self._projector.ends()
        self.partitions = len(self._ends)
        self.first_kept = {p: low for p, (low, _) in self._ends.items()}
        self.total = sum(high - low for low, high in self._ends.values())

    def left(self) -> int:
        """How many of the records the read model does not have yet."""
        return self._projector.behind(self._ends)

    def delete(self, progress: Callable[[int], None] | None = None) -> int:
        """Delete every key of the read model; how many. `progress` hears how many more are gone.

        Raises:
            Unavailable: Redis did not answer. What is left is deleted by whoever comes next.
        """
        redis: Any = Redis.from_url(self._settings.require_redis())
        try:
            clearing = Clearing.begin(redis, self._settings.redis_prefix, self._ends)
            return clearing.run(progress)
        except RedisError as error:
            raise Unavailable(
                f"Redis did not delete the read model: {error}",
                code="read_model_unavailable",
                cure="Repeat it when Redis answers.",
            ) from error
        finally:
            redis.close()

    def run(self, progress: Callable[[int], None]) -> None:
        """Project to the end; `progress` is told the records that are behind.

        Raises:
            OperatorError: a partition cannot be read to its end.
        """
        self._projector.start()
        try:
            while True:
                for error in self._projector.halted.values():
                    raise error
                left = self.left()
                progress(self.total - left)
                if left == 0:
                    break
                self._projector.step(0.25)
        finally:
            self._projector.close()
