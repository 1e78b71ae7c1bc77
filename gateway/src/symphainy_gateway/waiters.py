"""Waiting for executions to change, and reading them: many waiters, few round trips.

All documents wanted within one tick of the loop are read in one round trip; what is wanted while
that is under way goes into the next one, so batches grow with the load. Nobody polls: a waiter
sleeps until the notifier wakes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from symphainy_gateway.backend import Backend
from symphainy_runtime.read_model.notifications import Watch
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.state import ExecutionStatus

Condition = Callable[[Document], bool]
Wanted = dict[str, list[asyncio.Future[Document | None]]]
# An end is told with its document, so who waits for it need not read after each change before. So
# long after a change that told nothing the document is read all the same: it may be stuck, or have
# ended while the notifier was away, who comes back after half a second (`RECONNECT_SECONDS`).
LINGER_S = 0.25
_ENDED = frozenset(status.value for status in ExecutionStatus if status.ended)


def ended(document: Document) -> bool:
    """Whether the execution has ended."""
    return document["status"] in _ENDED


def at_rest(document: Document) -> bool:
    """Whether nothing of it goes on by itself: it has ended, or is stuck until an operator acts."""
    return ended(document) or bool(document["status"] == ExecutionStatus.STUCK.value)


def decided(document: Document) -> bool:
    """Whether the owner has decided about the intent."""
    return bool(document["status"] != ExecutionStatus.ACCEPTED.value)


class Waiters:
    """Reads documents for whoever wants one, and lets callers wait for a condition on one."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._wanted: dict[str, Wanted] = {}
        self._reading: asyncio.Task[None] | None = None
        self._watches: set[Watch] = set()
        self._stopping = False

    def stop(self) -> None:
        """Let every waiter go, with what it knows; nobody waits from here on."""
        self._stopping = True
        for watch in self._watches:
            watch.notify()

    async def read(self, tenant_id: str, execution_id: str) -> Document | None:
        """The tenant's execution, or None; shared with other readers, not to be changed.

        Raises:
            Unavailable: the read model did not answer.
        """
        future: asyncio.Future[Document | None] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(tenant_id, {}).setdefault(execution_id, []).append(future)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_wanted())
        return await future

    async def until(
        self,
        watch: Watch,
        tenant_id: str,
        execution_id: str,
        enough: Condition,
        timeout_s: float,
    ) -> Document | None:
        """Wait for a change after which `enough` holds; what is known at the end, in any case.

        Enter the watch before whatever is waited for can happen. A read model that does not
        answer is waited for like everything else.
        """
        clock = self._backend.clock
        deadline = clock.monotonic() + timeout_s
        left = timeout_s
        stale = False  # something changed since the document was read
        self._watches.add(watch)
        try:
            while left > 0 and not self._stopping:
                changed = await watch.changed(min(left, LINGER_S) if stale else left)
                if changed and watch.told is None and enough is at_rest:
                    stale = True
                elif changed or stale:
                    stale = False
                    document = await self._told(watch, tenant_id)
                    document = document or await self._latest(tenant_id, execution_id)
                    if document is not None and enough(document):
                        return document
                left = deadline - clock.monotonic()
            return await self._latest(tenant_id, execution_id)
        finally:
            self._watches.discard(watch)

    async def _told(self, watch: Watch, tenant_id: str) -> Document | None:
        """The document that came with the notification of its end, if it is the tenant's."""
        if watch.told is None:
            return None
        try:
            return await self._backend.read_model.document(tenant_id, watch.told)
        except Unavailable:
            return None

    async def _latest(self, tenant_id: str, execution_id: str) -> Document | None:
        try:
            return await self.read(tenant_id, execution_id)
        except Unavailable:
            return None

    async def _read_wanted(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            if len(wanted) == 1:
                await self._read_tenant(*wanted.popitem())
            else:
                await asyncio.gather(*(self._read_tenant(*one) for one in wanted.items()))
        self._reading = None

    async def _read_tenant(self, tenant_id: str, wanted: Wanted) -> None:
        found: dict[str, Document] = {}
        failure: Exception | None = None
        try:
            found = await self._backend.read_model.executions(tenant_id, list(wanted))
        except Exception as error:  # every reader must hear of it; none may wait for ever
            failure = error
        for execution_id, futures in wanted.items():
            for future in futures:
                if future.done():
                    continue  # its reader was cancelled
                if failure is None:
                    future.set_result(found.get(execution_id))
                else:
                    future.set_exception(failure)
