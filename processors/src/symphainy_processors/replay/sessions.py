"""What sessions say of themselves, for handlers that run again."""

from __future__ import annotations

from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from symphainy_processors.replay.history import History
from symphainy_processors.replay.reading import REDIS_TIMEOUT_S
from symphainy_processors.replay.recordings import Recordings, recordings
from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import ids


class SessionAttributes:
    """The attributes of sessions as the read model has them now, JSON by session id; each is asked
    for once. Empty where it knows none, or does not answer.

    The journal holds them as of each dispatch, in records of the session that may stand anywhere
    before: who changes a session's attributes after its executions ran sees the new ones here.
    """

    def __init__(self, redis_url: str, prefix: str) -> None:
        self._prefix = prefix
        self._known: dict[str, bytes] = {}
        self._client = (
            Redis.from_url(
                redis_url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
            )
            if redis_url
            else None
        )

    def recordings(self, history: History) -> Recordings:
        """What is recorded of an execution's steps, in its session."""
        return recordings(history, self.of(history.records[0].record.session_id))

    def of(self, session_id: str) -> bytes:
        """Those of one session."""
        known = self._known.get(session_id)
        if known is None:
            known = self._known[session_id] = self._read(session_id)
        return known

    def _read(self, session_id: str) -> bytes:
        if self._client is None or not ids.is_session_id(session_id):
            return b""
        key = Keys(self._prefix, ids.partition_of(session_id)).session(session_id)
        try:
            found: Any = self._client.hmget(key, "head", "attributes")
        except RedisError:
            return b""
        head, changed = found
        if changed:
            return bytes(changed)
        told = msgspec.json.decode(head).get("attributes") if head else None
        return msgspec.json.encode(told) if told else b""

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
