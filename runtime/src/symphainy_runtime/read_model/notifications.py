"""Notifications of the read model: who waits for an execution is told when it changed.

The projector publishes one message a projected batch, in the same script that writes it: so a
notification never comes before what it tells of. A message is MessagePack `[[execution_id, status,
fields], …]`; `fields` are the document's names and values in a row once the execution has ended, so
that whoever waits for the end need not ask for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import all_channels

log = logging.getLogger(__name__)
_changes = msgspec.msgpack.Decoder(list[tuple[str, str, list[str]]])
RECONNECT_SECONDS = 0.5  # well below any client's patience; the waiters re-read after it


class Watch:
    """One waiter's view of one execution: set whenever it changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.told: dict[bytes, bytes] | None = None
        """The document's hash as the last change told it, if the execution has ended."""

    def notify(self, told: dict[bytes, bytes] | None = None) -> None:
        """Something changed, or may have."""
        self.told = told or self.told
        self._changed.set()

    async def changed(self, timeout_s: float) -> bool:
        """Wait for a change; False when none came in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class Notifier:
    """Listens once for the whole process and tells the waiters. Use as an async context manager."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._pattern = all_channels(prefix)
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    async def __aenter__(self) -> Notifier:
        self._task = asyncio.create_task(self._listen(), name="read-model-notifier")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @asynccontextmanager
    async def watch(self, execution_id: str) -> AsyncIterator[Watch]:
        """Be told of changes from here on. Read the document *after* entering."""
        one = Watch()
        self._watches[execution_id].add(one)
        try:
            yield one
        finally:
            watches = self._watches[execution_id]
            watches.discard(one)
            if not watches:
                del self._watches[execution_id]

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=False) as pubsub:
                    await pubsub.psubscribe(self._pattern)
                    async for message in pubsub.listen():
                        self._take(message)
            except (RedisError, OSError, msgspec.DecodeError) as error:
                self.connected.clear()
                log.warning("read model notifications lost, reconnecting: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _take(self, message: dict[str, object]) -> None:
        if message["type"] == "psubscribe":
            self.connected.set()
            self._notify_all()  # whatever was published while we were away
            return
        data = message["data"]
        assert isinstance(data, bytes)
        for execution_id, _status, fields in _changes.decode(data):
            watches = self._watches.get(execution_id)
            if watches:
                raw = [field.encode() for field in fields]
                told = dict(zip(raw[::2], raw[1::2], strict=True)) or None
                for watch in watches:
                    watch.notify(told)

    def _notify_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.notify()
