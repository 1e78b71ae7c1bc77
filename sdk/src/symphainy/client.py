"""The HTTP client of the gateway. Tenant and principal come from the API key, never from a body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from pydantic import RootModel

from symphainy.asking import Asking, execution_path, saga_path, session_path
from symphainy.calling import ANSWER_S, call, lines, read, spread
from symphainy.durations import duration_ms
from symphainy.errors import ApiError
from symphainy.handlers import Handler, PayloadT
from symphainy.plans.declaring import DeclaredPlan
from symphainy.results import EventList, ExecutionResult, SessionOpened
from symphainy.sagas import Saga
from symphainy.server_sent import ServerSentEvent, parse
from symphainy_schemas import ids
from symphainy_schemas.errors import Unavailable

# Between two tries to resume a stream, or to find an execution that is not projected yet.
_AGAIN_S = 0.2
_NOT_FOUND = "execution_not_found"
_TOO_MANY = 429


class _Document(RootModel[dict[str, Any]]):
    """Any JSON object."""


class Client(Asking):
    """Submits intents over HTTP and reads what became of them. Use it with `async with`.

    A gateway that has too much to do says when to come back (429 or 503 with Retry-After). The
    client does, with the same intent id, so that nothing is done twice.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        retry_for: timedelta | str = "30s",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`base_url` is the gateway's, without /v1; `transport` replaces the network in tests.

        A call comes back for at most `retry_for` ("0s": never), then raises the last refusal;
        ValueError if that is no duration.
        """
        http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=ANSWER_S,
            transport=transport,
        )
        super().__init__(http, duration_ms(retry_for) / 1000)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def open_session(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        idle: timedelta | str | None = None,
        lifetime: timedelta | str | None = None,
        at_expiry: Literal["drain", "cancel"] = "drain",
    ) -> str:
        """Open a session; its id.

        It expires when no intent that policy allows was stated in it for `idle`, or `lifetime`
        after it was opened; never by default. What runs in it then goes on (`drain`), or is asked
        to end (`cancel`).

        Raises:
            ApiError: the gateway refused.
            Unavailable: it did not answer.
        """
        body: dict[str, Any] = {"attributes": dict(attributes or {})}
        for name, given in (("idle_ms", idle), ("lifetime_ms", lifetime)):
            if given is not None:
                body[name] = duration_ms(given)
        if at_expiry != "drain":
            body["at_expiry"] = at_expiry
        answer = await call(
            self._http,
            "POST",
            "/v1/sessions",
            body=body,
            headers={"Idempotency-Key": ids.new_intent_id()},
            retry_s=self._retry_s,
        )
        return read(SessionOpened, answer).session_id

    async def session(self, session_id: str) -> dict[str, Any]:
        """Everything known of a session, with what runs in it; errors as of `open_session`."""
        return read(_Document, await self._get(session_path(session_id))).root

    async def sessions(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A page of sessions, newest first, as the gateway gives it.

        `query` has any of status (open, closed or expired), from, to, limit and cursor (of the
        page before); errors as of `open_session`.
        """
        return read(_Document, await self._get("/v1/sessions", query)).root

    async def change_session(
        self, session_id: str, attributes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Merge `attributes` into the session's (RFC 7396: None removes a member); the session, or
        how its change stands. Errors as of `open_session`."""
        return await self._of_session("PATCH", session_id, body={"attributes": dict(attributes)})

    async def close_session(
        self, session_id: str, *, mode: Literal["drain", "cancel"] = "drain", reason: str = ""
    ) -> dict[str, Any]:
        """Close a session: it takes no more intents. What runs in it goes on (`drain`), or is asked
        to end (`cancel`). The session, or how its closing stands. Errors as of `open_session`."""
        params = {"mode": mode} | ({"reason": reason} if reason else {})
        return await self._of_session("DELETE", session_id, params=params)

    async def _of_session(self, method: str, session_id: str, **more: Any) -> dict[str, Any]:
        answer = await call(
            self._http,
            method,
            session_path(session_id),
            headers={"Idempotency-Key": ids.new_intent_id()},
            retry_s=self._retry_s,
            **more,
        )
        return read(_Document, answer).root

    async def submit(
        self,
        intent_type: str | Handler[PayloadT, Any] | DeclaredPlan[PayloadT],
        payload: PayloadT | Mapping[str, Any],
        *,
        session_id: str,
        wait: timedelta | str = "10s",
        intent_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        solution_context: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Submit an intent and wait until it has ended or is stuck, at most for `wait` ("0s": not
        at all).

        `intent_type` is `{realm}.{action}`, or the handler or plan that declares it, where its code
        is at hand: a type checker then knows what payload it takes. `ExecutionResult.read` reads
        the result as a model.

        `intent_id` is the idempotency key: a repeat with the same one gets the first answer. An
        execution that has not ended in time, or is `stuck` until an operator acts, is answered as
        it stands (`status` tells why); a failed one is a result like another, told by `success`
        and `error`.

        Raises:
            ApiError: the gateway refused; `code`, `field` and `cure` say why, `retry_after_s` when
                to come back, if it is for load.
            Unavailable: unknown whether it was accepted; repeat with the intent id in `cure`.
            ValueError: `wait` is no duration.
        """
        intent_id = intent_id or ids.new_intent_id()
        wait_ms = duration_ms(wait)
        body: dict[str, Any] = {
            "intent_id": intent_id,
            "intent_type": intent_type if isinstance(intent_type, str) else intent_type.intent_type,
            "session_id": session_id,
            "payload": payload,
        }
        if isinstance(intent_type, DeclaredPlan):
            body["realm"] = intent_type.realm  # a cross_realm.… does not say whose plan it is
        optional = {"metadata": metadata, "solution_context": solution_context}
        body.update({name: dict(value) for name, value in optional.items() if value is not None})
        answer = await call(
            self._http,
            "POST",
            "/v1/intents",
            body=body,
            params={"wait": f"{wait_ms}ms" if wait_ms % 1000 else f"{wait_ms // 1000}s"},
            timeout_s=wait_ms / 1000 + ANSWER_S,
            retry_s=self._retry_s,
            cure=f"Repeat with intent id {intent_id}.",
        )
        return read(ExecutionResult, answer)

    async def status(self, execution_id: str) -> ExecutionResult:
        """The short answer: status, success and error; errors as of `open_session`."""
        answer = await self._get(f"{execution_path(execution_id)}/status")
        return read(ExecutionResult, answer)

    async def execution(self, execution_id: str) -> dict[str, Any]:
        """Everything known of an execution; errors as of `open_session`."""
        answer = await self._get(execution_path(execution_id))
        return read(_Document, answer).root

    async def saga(self, execution_id: str) -> Saga:
        """An execution step by step: the state of each step of its plan, what it needs, why it
        failed, how far it is undone; errors as of `open_session`."""
        answer = await self._get(saga_path(execution_id))
        return read(Saga, answer)

    async def executions(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A page of executions, newest first, as the gateway gives it.

        `query` has any of session, type, status, from, to, limit and cursor (of the page
        before); errors as of `open_session`.
        """
        answer = await self._get("/v1/executions", query)
        return read(_Document, answer).root

    async def events(self, execution_id: str) -> list[dict[str, Any]]:
        """The execution's events in order, with their places; errors as of `open_session`."""
        answer = await self._get(f"{execution_path(execution_id)}/events")
        return read(EventList, answer).events

    async def stream(
        self, execution_id: str, *, appears_within: timedelta | str = "30s"
    ) -> AsyncIterator[dict[str, Any]]:
        """The execution's events as they happen, until it has ended.

        A stream that is cut is resumed behind the last event. An execution that the read model
        does not know yet is waited for, at most for `appears_within`.

        Raises:
            ApiError: the gateway refused, or there is no such execution.
        """
        async for event in self._stream(execution_id, appears_within):
            if event.name != "end":
                yield event.json()

    async def ended(self, execution_id: str, *, appears_within: timedelta | str = "30s") -> str:
        """Wait until the execution has ended; its status. Errors as of `stream`."""
        async for event in self._stream(execution_id, appears_within):
            if event.name == "end":
                return str(event.json()["status"])
        raise AssertionError("a stream ends with its end event")

    async def _stream(
        self, execution_id: str, appears_within: timedelta | str
    ) -> AsyncIterator[ServerSentEvent]:
        """The raw events, the last of them `end`; resumed for as long as the caller waits."""
        path = f"{execution_path(execution_id)}/stream"
        clock = asyncio.get_running_loop().time
        appears_by = clock() + duration_ms(appears_within) / 1000
        give_up = clock() + self._retry_s
        last_id = ""
        while True:
            pause_s = _AGAIN_S
            resume = {"Last-Event-ID": last_id} if last_id else {}
            try:
                async with lines(self._http, path, resume) as received:
                    async for event in parse(received):
                        yield event
                        if event.name == "end":
                            return
                        last_id = event.id or last_id
                        give_up = clock() + self._retry_s
            except ApiError as error:
                if error.status == _TOO_MANY:
                    pause_s = spread(error.retry_after_s)
                    if clock() + pause_s > give_up:
                        raise
                elif error.code != _NOT_FOUND or clock() >= appears_by:
                    raise
            except Unavailable:  # cut, or the gateway starts again: resume
                pass
            await asyncio.sleep(pause_s)

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> httpx.Response:
        return await call(self._http, "GET", path, params=query, retry_s=self._retry_s)
