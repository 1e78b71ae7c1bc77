"""What a gateway answers from the journal: it may not fold, so the fold is handed to it here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any, TypeVar

from symphainy_processors.replay.history import At
from symphainy_processors.replay.report import Shown, Validator
from symphainy_processors.replay.service import Replayer, answer
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids

T = TypeVar("T")
THREADS = 2
"""Replays at once; more wait. Each has a consumer of its own, which holds up to 64 MiB."""


class Replays:
    """The gateway's `Replaying`, in threads: what reads Kafka here blocks."""

    def __init__(self, settings: RuntimeSettings) -> None:
        """Connect with the first question."""
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-replay")
        self._own = local()
        self._made: list[Replayer] = []

    async def replay(
        self,
        execution_id: str,
        offsets: Sequence[int],
        mode: str,
        at_offset: int | None,
        at_ms: int | None,
    ) -> dict[str, Any]:
        """As `symphainy_gateway.backend.Replaying` says."""
        asked = At(offset=at_offset, at=at_ms)

        def run(replayer: Replayer) -> dict[str, Any]:
            replayer.check(ids.partition_of(execution_id), asked)
            return answer(replayer.by_places(execution_id, offsets), mode, asked)

        return await self._run(run)

    async def validate(
        self,
        document: dict[str, Any],
        events: Sequence[dict[str, Any]],
        configuration: Configuration,
        at_ms: int,
    ) -> dict[str, Any]:
        """As `symphainy_gateway.backend.Replaying` says."""
        offsets = tuple(dict.fromkeys(one["offset"] for one in events))

        def run(replayer: Replayer) -> dict[str, Any]:
            found = replayer.by_places(document["execution_id"], offsets)
            validator = Validator(self._settings)
            try:
                return validator.report(found, configuration, Shown(document, events), at_ms)
            finally:
                validator.close()

        return await self._run(run)

    def close(self) -> None:
        """Disconnect, once what is under way has ended."""
        self._threads.shutdown()
        for replayer in self._made:
            replayer.close()

    async def _run(self, call: Callable[[Replayer], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(self._replayer()))

    def _replayer(self) -> Replayer:
        replayer: Replayer | None = getattr(self._own, "replayer", None)
        if replayer is None:
            replayer = self._own.replayer = Replayer(self._settings)
            self._made.append(replayer)
        return replayer
