"""Asking the log for callers: on threads of their own, a few at a time, each for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

import msgspec
from msgspec.structs import replace

from symphainy_gateway import parameters
from symphainy_gateway.callers import Caller
from symphainy_gateway.explaining import bare, is_told_why
from symphainy_gateway.problems import Refused
from symphainy_gateway.rooms import Place, Room
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.answering import Wal
from symphainy_runtime.wal.query import Answer, Query
from symphainy_runtime.wal.rows import Row
from symphainy_schemas.errors import CallerError, SymphainyError

# Reading takes a core: more at once would only make each other, and everybody else, wait.
AT_ONCE = 2
WAITING = 198  # half of all places are one tenant's at most
# About 1.5 s of a core; a page that ends there has a cursor, and loses nothing.
MOST_RECORDS = 100_000


class WalPool:
    """Readers of the log, each used by one query at a time."""

    def __init__(self, settings: RuntimeSettings, name: str) -> None:
        """Connect when the first query comes."""
        self._settings, self._name = settings, name
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=name)
        self._idle: SimpleQueue[Wal] = SimpleQueue()
        self._room = Room(AT_ONCE + WAITING)

    async def query(self, query: Query) -> Answer:
        """One page of rows.

        Raises:
            Refused: `too_many_queries`.
            SymphainyError: as `Wal.query`.
        """
        loop = asyncio.get_running_loop()
        with Place(self._room, _too_many, query.tenant_id):
            return await loop.run_in_executor(self._threads, self._ask, query)

    async def close(self) -> None:
        """Let the queries end that have begun, and disconnect."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def _ask(self, query: Query) -> Answer:
        try:
            wal = self._idle.get_nowait()
        except Empty:
            wal = Wal(self._settings, self._name)
        try:
            return wal.query(query, MOST_RECORDS)
        finally:
            self._idle.put(wal)


def as_parameter(error: CallerError) -> SymphainyError:
    """What is wrong with a query, told of the parameter that says it."""
    if error.code != "malformed_query":
        return error
    return parameters.refused(error.field.removesuffix("_id"), error.message, error.cure)


def explained_rows(caller: Caller, rows: Sequence[Row]) -> list[Row]:
    """Rows as the caller may see them (`explaining`)."""
    if is_told_why(caller):
        return list(rows)
    return [_explained(row) for row in rows]


def _explained(row: Row) -> Row:
    if row.type != "policy_validated":
        return row
    data = msgspec.json.decode(row.data)
    told = {**data, "decision": bare(data["decision"])}
    return replace(row, data=msgspec.Raw(msgspec.json.encode(told)))


def _too_many() -> Refused:
    return Refused(
        "Too many queries of the log wait for their turn, or too many of this tenant.",
        code="too_many_queries",
        cure="Repeat later; name an execution or a session, or a shorter range.",
    )
