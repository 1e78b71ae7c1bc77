"""What sessions said of themselves, for handlers that run again."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from symphainy_processors.replay.history import History
from symphainy_processors.replay.reading import REDIS_TIMEOUT_S
from symphainy_processors.replay.recordings import Attributes, Recordings, recordings
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.answering import Wal
from symphainy_runtime.wal.query import Query
from symphainy_runtime.wal.rows import Row
from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError

_EVENTS = ("session_opened", "session_changed")
_NEVER: Attributes = ()


class Sessions:
    """The attributes of sessions as of each dispatch. A context manager; for one thread.

    The read model has those that never changed. Of others, and of sessions that have left it, the
    log is asked, once each: the index, Kafka or the archive, which then is read for them. Where
    nobody has them, what the read model has now is taken, else nothing.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        """Connect lazily.

        Raises:
            OperatorError: the settings name no Kafka.
        """
        self._prefix = settings.redis_prefix
        self._known: dict[str, Attributes] = {}
        self._wal = Wal(settings, "symphainy-replay-sessions")
        self._client = (
            Redis.from_url(
                settings.redis_url,
                socket_timeout=REDIS_TIMEOUT_S,
                socket_connect_timeout=REDIS_TIMEOUT_S,
            )
            if settings.redis_url
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self._wal.close()
        if self._client is not None:
            self._client.close()

    def recordings(self, history: History) -> Recordings:
        """What is recorded of an execution's steps, in its session."""
        first = history.records[0].record
        return recordings(history, self.of(first.session_id, first.at))

    def of(self, session_id: str, at: int) -> Attributes:
        """Those of the session of that id of which an execution began at `at`, ms since the epoch
        of journaled time."""
        known = self._known.get(session_id)
        if known is None:
            known = self._known[session_id] = self._read(session_id, at)
        return known

    def _read(self, session_id: str, at: int) -> Attributes:
        if not ids.is_session_id(session_id):
            return _NEVER
        opened_at, changed, now = self._now(session_id)
        if now and not changed and opened_at <= at:
            return ((-1, now),)
        try:
            found = [
                row
                for kind in _EVENTS
                for row in self._wal.rows(Query(session_id=session_id, event_type=kind))
            ]
        except SymphainyError:  # the history is not kept, or nobody answers
            found = []
        if not found:
            return ((-1, now),) if now else _NEVER
        return tuple(map(_attributes, sorted(found, key=lambda row: row.place)))

    def _now(self, session_id: str) -> tuple[int, bool, bytes]:
        """When it was opened, whether its attributes changed, and what they are: as the read model
        has it."""
        if self._client is None:
            return 0, False, b""
        key = Keys(self._prefix, ids.partition_of(session_id)).session(session_id)
        try:
            found: Any = self._client.hmget(key, "head", "attributes")
        except RedisError:
            return 0, False, b""
        head, changed = found
        if not head:
            return 0, False, b""
        told = msgspec.json.decode(head)
        if changed:
            return told["opened_at"], True, bytes(changed)
        return told["opened_at"], False, msgspec.json.encode(told.get("attributes") or {})


def _attributes(row: Row) -> tuple[int, bytes]:
    told = msgspec.json.decode(row.data)
    return row.offset, msgspec.json.encode(told["attributes"])
