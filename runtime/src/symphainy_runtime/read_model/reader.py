"""Reading the read model: documents, events and listings, always within one tenant.

Nothing here writes. A document of another tenant is answered exactly like one that is not there.
Sealed content is opened here, for its own tenant; where that cannot be, the document says so in
`content` (`shredded`, `corrupt`, `keys_not_set`), and each piece of it in its place.
"""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_transport.privacy.content import Content
from symphainy_transport.privacy.marking import holds_sealed

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list: newest first, by session, else type, else status, else all of the tenant."""

    session_id: str | None = None
    intent_type: str | None = None
    status: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; `cursor` is None on the last."""

    items: tuple[Document, ...]
    cursor: str | None


class ReadModel:
    """The read model as one tenant sees it."""

    def __init__(
        self, redis: Redis, prefix: str, partitions: int, content: Content | None = None
    ) -> None:
        """`content` opens what is sealed."""
        self._content = content or Content()
        self._redis = redis
        self._prefix = prefix
        self._partitions = partitions

    def _keys(self, some_id: str) -> Keys:
        return Keys(self._prefix, ids.partition_of(some_id))

    async def executions(self, tenant_id: str, execution_ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those that are there and the tenant's, in one round trip.

        Raises:
            Unavailable: Redis did not answer.
        """
        try:
            pipe = self._redis.pipeline(transaction=False)
            for one in execution_ids:
                pipe.hgetall(self._keys(one).execution(one))
            found: list[Mapping[bytes, bytes]] = await pipe.execute()
        except RedisError as error:
            raise _unavailable(error) from error
        documents = {}
        for one, fields in zip(execution_ids, found, strict=True):
            document = await self.document(tenant_id, fields)
            if document is not None:
                documents[one] = document
        return documents

    async def document(self, tenant_id: str, fields: Mapping[bytes, bytes]) -> Document | None:
        """The document of an execution's hash, if there is one and it is the tenant's.

        Raises:
            Unavailable: what opens its content cannot be had.
        """
        document = execution_document(fields) if fields else None
        if document is None or document["tenant_id"] != tenant_id:
            return None
        sealed = any(holds_sealed(value) for value in fields.values())
        return await self._shown(tenant_id, document) if sealed else document

    async def _shown(self, tenant_id: str, document: Document) -> Document:
        opener = await self._content.ready(tenant_id)
        shown, why = opener.show(document)
        return {**shown, "content": why} if why else shown

    async def execution(self, tenant_id: str, execution_id: str) -> Document | None:
        """Everything known of an execution: status, steps, artifacts, error, offsets."""
        if not ids.is_execution_id(execution_id):
            return None
        return (await self.executions(tenant_id, [execution_id])).get(execution_id)

    async def events(
        self, tenant_id: str, execution_id: str, after: int = 0
    ) -> list[Document] | None:
        """The execution's events in journal order, from index `after`; None if not there."""
        if await self.execution(tenant_id, execution_id) is None:
            return None
        return await self._events(tenant_id, execution_id, after)

    async def _events(self, tenant_id: str, execution_id: str, after: int = 0) -> list[Document]:
        try:
            raw: Any = await self._redis.lrange(
                self._keys(execution_id).events(execution_id), after, -1
            )
        except RedisError as error:
            raise _unavailable(error) from error
        events: list[Document] = [msgspec.json.decode(one) for one in raw]
        if not any(holds_sealed(one) for one in raw):
            return events
        return [await self._shown(tenant_id, one) for one in events]

    async def session(self, tenant_id: str, session_id: str) -> Document | None:
        """A session: who opened it, when, its attributes, whether it is open."""
        if not ids.is_session_id(session_id):
            return None
        try:
            fields: Any = await self._redis.hgetall(self._keys(session_id).session(session_id))
        except RedisError as error:
            raise _unavailable(error) from error
        if not fields:
            return None
        document = _session_document(fields)
        return document if document["tenant_id"] == tenant_id else None

    async def running(self, session_id: str, limit: int) -> tuple[int, list[str]]:
        """How many executions run in a session, and the ids of the first `limit` by their start.

        Raises:
            Unavailable: Redis did not answer.
        """
        key = self._keys(session_id).running(session_id)
        try:
            pipe = self._redis.pipeline(transaction=False)
            pipe.zcard(key)
            pipe.zrange(key, 0, limit - 1)
            count, names = await pipe.execute()
        except RedisError as error:
            raise _unavailable(error) from error
        return count, [one.decode() for one in names]

    async def sessions(self, tenant_id: str, what: Listing) -> Page:
        """The tenant's sessions, newest first, over all partitions; of a listing's filters only
        `status`, `from_ms` and `to_ms` mean something. Errors as of `listing`."""
        keys = [Keys(self._prefix, p).sessions(tenant_id) for p in range(self._partitions)]

        async def fetch(names: Sequence[str]) -> dict[str, Document]:
            try:
                pipe = self._redis.pipeline(transaction=False)
                for one in names:
                    pipe.hgetall(self._keys(one).session(one))
                found: list[Mapping[bytes, bytes]] = await pipe.execute()
            except RedisError as error:
                raise _unavailable(error) from error
            told = zip(names, map(_session_document, found), strict=True)
            return {one: it for one, it in told if it.get("tenant_id") == tenant_id}

        def matches(document: Document) -> bool:
            return what.status is None or document["status"] == what.status

        return await self._page(keys, what, fetch, matches)

    async def session_events(self, tenant_id: str, session_id: str) -> list[Document] | None:
        """Every event of the session's executions, in journal order; None if not there."""
        if await self.session(tenant_id, session_id) is None:
            return None
        try:
            members: Any = await self._redis.zrange(
                self._keys(session_id).by_session(tenant_id, session_id), 0, -1
            )
        except RedisError as error:
            raise _unavailable(error) from error
        events = [event for one in members for event in await self._events(tenant_id, one.decode())]
        return sorted(events, key=lambda event: (event["offset"], event["index"]))

    async def listing(self, tenant_id: str, what: Listing) -> Page:
        """Executions, newest first, over all partitions.

        Raises:
            CallerError: the cursor is not one that this listing gave.
            Unavailable: Redis did not answer.
        """

        async def fetch(names: Sequence[str]) -> dict[str, Document]:
            return await self.executions(tenant_id, names)

        def matches(document: Document) -> bool:
            return _matches(document, what)

        return await self._page(self._indexes(tenant_id, what), what, fetch, matches)

    async def _page(
        self,
        keys: Sequence[str],
        what: Listing,
        fetch: Callable[[Sequence[str]], Awaitable[dict[str, Document]]],
        matches: Callable[[Document], bool],
    ) -> Page:
        before = _read_cursor(what.cursor)
        lists = await self._candidates(keys, what, before)
        wanted = [
            pair
            for pair in heapq.merge(*lists, key=_order)
            if before is None or _order(pair) > before
        ][: _spare(what)]
        more = any(len(pairs) == _spare(what) for pairs in lists) or len(wanted) == _spare(what)
        documents: list[Document] = []
        for start in range(0, len(wanted), what.limit):
            names = [one.decode() for one, _ in wanted[start : start + what.limit]]
            found = await fetch(names)
            for index, name in enumerate(names, start):
                if name in found and matches(found[name]):
                    documents.append(found[name])
                if len(documents) == what.limit:
                    more = more or index + 1 < len(wanted)
                    return Page(tuple(documents), _cursor(wanted[index]) if more else None)
        return Page(tuple(documents), _cursor(wanted[-1]) if more and wanted else None)

    async def _candidates(
        self, keys: Sequence[str], what: Listing, before: tuple[float, bytes] | None
    ) -> list[list[tuple[bytes, float]]]:
        tops = [float(one) for one in (what.to_ms, before and -before[0]) if one is not None]
        top = min(tops, default=float("inf"))
        bottom = float("-inf") if what.from_ms is None else float(what.from_ms)
        try:
            pipe = self._redis.pipeline(transaction=False)
            for key in keys:
                # Candidates of later filters are dropped after the read: take some to spare.
                pipe.zrevrangebyscore(key, top, bottom, withscores=True, start=0, num=_spare(what))
            found: list[list[tuple[bytes, float]]] = await pipe.execute()
        except RedisError as error:
            raise _unavailable(error) from error
        return [sorted(pairs, key=_order) for pairs in found]

    def _indexes(self, tenant_id: str, what: Listing) -> list[str]:
        if what.session_id is not None:
            if not ids.is_session_id(what.session_id):
                return []
            return [self._keys(what.session_id).by_session(tenant_id, what.session_id)]
        every = [Keys(self._prefix, p) for p in range(self._partitions)]
        if what.intent_type is not None:
            return [keys.by_type(tenant_id, what.intent_type) for keys in every]
        if what.status is not None:
            return [keys.by_status(tenant_id, what.status) for keys in every]
        return [keys.by_tenant(tenant_id) for keys in every]


def _session_document(fields: Mapping[bytes, bytes]) -> Document:
    document = _flat({name: one for name, one in fields.items() if name != b"attributes"})
    if b"attributes" in fields:  # in place of those that it was opened with
        document["attributes"] = msgspec.json.decode(fields[b"attributes"])
    return document


def execution_document(fields: Mapping[bytes, bytes]) -> Document | None:
    """The document of an execution from its hash; None while its head is not projected."""
    if b"head" not in fields:
        return None
    document = _flat(fields)
    document.setdefault("artifacts", {})
    document.setdefault("events", [])
    document.setdefault("state_changes", [])
    document.setdefault("error", None)
    document.setdefault("decision", None)
    document.setdefault("cancel", None)
    document.setdefault("paused", None)
    document.setdefault("plan", None)
    document.setdefault("versions", [])
    document.pop("live", None)
    document.setdefault("compensation", None)
    document["steps"] = list(document.pop("steps", {}).values())
    document["success"] = document["status"] == "succeeded"
    ended = document.get("ended_at")
    document["execution_time_ms"] = None if ended is None else ended - document["started_at"]
    return document


def _flat(fields: Mapping[bytes, bytes]) -> Document:
    """`head` and `outcome` are objects whose members stand at the top; the rest is JSON each.
    A plan has an outcome for each step."""
    document: Document = {}
    steps: Document = {}
    began: Document = {}
    outcomes: Document = {}
    for name, value in fields.items():
        if name in (b"head", b"outcome"):
            document |= msgspec.json.decode(value)
        elif name.startswith(b"step:"):
            steps[name[5:].decode()] = msgspec.json.decode(value)
        elif name.startswith(b"began:"):
            began[name[6:].decode()] = msgspec.json.decode(value)
        elif name.startswith(b"outcome:"):
            outcomes[name[8:].decode()] = msgspec.json.decode(value)
        elif name == b"status":
            document["status"] = value.decode()
        else:
            document[name.decode()] = msgspec.json.decode(value)
    for name_of, one in began.items():
        _add_beginning(steps.get(name_of, {}), one)
    if outcomes:
        _gather(document, steps, outcomes)
    if steps:
        document["steps"] = steps
    document.pop("at", None)
    return document


def _add_beginning(step: Document, began: Document) -> None:
    """Who began the step and when, where its latest event is of that delivery."""
    if step.get("delivery") == began["delivery"]:
        step["worker"] = step.get("worker") or began["worker"]
        step.setdefault("started_at", began["started_at"])


def _gather(document: Document, steps: Document, outcomes: Document) -> None:
    """What the steps of a plan returned: each its result, the execution the rest of all."""
    for step, outcome in sorted(outcomes.items(), key=lambda one: (one[1]["at"], one[0])):
        steps.setdefault(step, {"step": step})["result"] = outcome["result"]
        document["artifacts"] = {**document.get("artifacts", {}), **outcome["artifacts"]}
        for name in ("events", "state_changes"):
            document[name] = [*document.get(name, []), *outcome[name]]


def _matches(document: Document, what: Listing) -> bool:
    return (
        (what.session_id is None or document["session_id"] == what.session_id)
        and (what.intent_type is None or document["intent_type"] == what.intent_type)
        and (what.status is None or document["status"] == what.status)
    )


def _spare(what: Listing) -> int:
    """How many candidates one read takes of an index: later filters drop some."""
    return what.limit * 8 + 1


def _order(pair: tuple[bytes, float]) -> tuple[float, bytes]:
    return -pair[1], pair[0]


def _cursor(pair: tuple[bytes, float]) -> str:
    return base64.urlsafe_b64encode(b"%d/%b" % (int(pair[1]), pair[0])).decode()


def _read_cursor(cursor: str | None) -> tuple[float, bytes] | None:
    if cursor is None:
        return None
    try:
        score, name = base64.urlsafe_b64decode(cursor.encode()).split(b"/", 1)
        return -float(int(score)), name
    except (ValueError, binascii.Error) as error:
        raise CallerError(
            "The cursor is not one that this listing gave.",
            code="malformed_cursor",
            field="/cursor",
            cure="Start without a cursor.",
        ) from error


def _unavailable(error: RedisError) -> Unavailable:
    return Unavailable(
        f"The read model did not answer: {type(error).__name__}.",
        code="read_model_unavailable",
        cure="Repeat later; nothing is lost, the journal holds it.",
    )
