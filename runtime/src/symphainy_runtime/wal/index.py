"""Rows from the read model: the events of executions, as the projector keeps them in Redis.

It answers what names an execution, a session or a tenant, and only where it has all of it: an
execution that ended longer ago than the retention has left it, and then others are asked. What is
asked from a time on that is later than the last such end, it has: every event is at most as late
as its execution's end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from redis import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.query import Query, Read
from symphainy_runtime.wal.rows import Row, row_of_document
from symphainy_schemas import ids
from symphainy_schemas.errors import Unavailable

AT_ONCE = 200  # executions in one round trip
TIMEOUT_S = 2.0  # above any healthy answer by far


class Indexed(Struct, frozen=True):
    """All rows of a query in one partition, as of the journal offset behind the last projected."""

    rows: list[Row]
    as_of: int


class _Whose(Struct, frozen=True):
    """What is asked of a session's head."""

    tenant_id: str
    opened_at: int = 0


class _Head(Struct, frozen=True):
    """What is asked of an execution's head."""

    tenant_id: str
    intent_type: str


class IndexSource:
    """The read model of all partitions. For one thread at a time."""

    name = "index"

    def __init__(self, settings: RuntimeSettings) -> None:
        """Connect lazily.

        Raises:
            OperatorError: the settings name no Redis.
        """
        self._prefix = settings.redis_prefix
        self._redis: Any = Redis.from_url(
            settings.require_redis(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )
        self.read = Read()
        """What was read since it was made."""

    def close(self) -> None:
        """Disconnect."""
        self._redis.close()

    def find(self, query: Query, partition: int) -> Indexed | None:
        """Every row of the query there, in order; None where the index does not have all.

        Raises:
            Unavailable: Redis did not answer.
        """
        keys = Keys(self._prefix, partition)
        try:
            reached, trimmed = self._redis.hmget(keys.position, "offset", "trimmed")
            executions = None if reached is None else self._executions(query, keys, trimmed)
            if executions is None:
                return None
            rows = self._rows(query, keys, executions)
        except RedisError as error:
            raise Unavailable(
                f"The read model did not answer: {type(error).__name__}.",
                code="read_model_unavailable",
                cure="Repeat later, or ask Kafka: --source kafka.",
            ) from error
        return None if rows is None else Indexed(rows, int(reached) + 1)

    def intent_types(self, executions: Collection[str]) -> Mapping[str, str]:
        """What the intents of these executions ask for, of those that it has; none while Redis
        does not answer."""
        named = [one for one in executions if ids.is_execution_id(one)]
        found: dict[str, str] = {}
        try:
            for some in _cut(named):
                for name, head in zip(some, self._heads(some), strict=True):
                    if head is not None:
                        found[name] = head.intent_type
        except RedisError:
            return found
        return found

    def _executions(self, query: Query, keys: Keys, trimmed: bytes | None) -> Sequence[str] | None:
        """Whose events answer the query; None if the index cannot tell. `trimmed`: the latest end
        of one that has left it."""
        if query.execution_id:
            return [query.execution_id]
        if query.tenant_id is None:
            return None
        since = query.from_ms or 0
        if query.session_id:
            opened = self._redis.hget(keys.session(query.session_id), "head")
            whose = opened and msgspec.json.decode(opened, type=_Whose)
            if not whose or whose.tenant_id != query.tenant_id:
                return None  # it began before what is kept, or is another tenant's
            since = max(query.from_ms or 0, whose.opened_at)
            key = keys.by_session(query.tenant_id, query.session_id)
        elif query.intent_type:
            key = keys.by_type(query.tenant_id, query.intent_type)
        else:
            key = keys.by_tenant(query.tenant_id)
        if trimmed is not None and since <= float(trimmed):
            return None
        top = "+inf" if query.to_ms is None else query.to_ms
        return [one.decode() for one in self._redis.zrangebyscore(key, "-inf", top)]

    def _rows(self, query: Query, keys: Keys, executions: Sequence[str]) -> list[Row] | None:
        rows: list[Row] = []
        for some in _cut(executions):
            pipe = self._redis.pipeline(transaction=False)
            for one in some:
                pipe.lrange(keys.events(one), 0, -1)
            heads = self._heads(some)
            for head, events in zip(heads, pipe.execute(), strict=True):
                if head is None or query.tenant_id not in (None, head.tenant_id):
                    return None  # it has left; of another tenant: answered as if it had
                rows += self._read(query, events, head.intent_type)
        return sorted(rows, key=lambda row: row.place)

    def _read(self, query: Query, events: Sequence[bytes], intent_type: str) -> Iterator[Row]:
        self.read.records += len(events)
        self.read.bytes += sum(map(len, events))
        rows = (row_of_document(one, intent_type) for one in events)
        return filter(query.matches, rows)

    def _heads(self, executions: Sequence[str]) -> list[_Head | None]:
        pipe = self._redis.pipeline(transaction=False)
        for one in executions:
            pipe.hget(Keys(self._prefix, ids.partition_of(one)).execution(one), "head")
        return [one and msgspec.json.decode(one, type=_Head) for one in pipe.execute()]


def _cut(executions: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(executions), AT_ONCE):
        yield executions[start : start + AT_ONCE]
