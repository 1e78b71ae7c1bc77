"""What the HTTP client asks of executions: each a control intent, journaled with who and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from symphainy.calling import call, read
from symphainy.results import Asked
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError


class Asking:
    """The verbs of `Client` that ask something of an execution."""

    def __init__(self, http: httpx.AsyncClient, retry_s: float) -> None:
        """For `retry_s` seconds a call comes back when the gateway says so."""
        self._http = http
        self._retry_s = retry_s

    async def signal(
        self,
        execution_id: str,
        name: str,
        data: BaseModel | Any = None,
        *,
        signal_id: str | None = None,
    ) -> Asked:
        """Send the execution a signal; `data` is JSON, or a model.

        A handler that waits for `name` (`ctx.signal`) goes on; else it is kept until one does.
        `signal_id` is the idempotency key: a repeat with the same one sends nothing.

        Raises:
            ApiError: the gateway refused, say with code `execution_ended`.
            Unavailable: unknown whether it was taken; repeat with the signal id in `cure`.
        """
        path = f"{execution_path(execution_id)}/signals/{quote(name, safe='')}"
        signal_id = signal_id or ids.new_intent_id()
        cure = f"Repeat with signal id {signal_id}."
        return await self._ask(path, {"data": data}, signal_id, cure)

    async def cancel(
        self, execution_id: str, reason: str = "", *, cancel_id: str | None = None
    ) -> Asked:
        """Ask for the execution's end; `reason` is for the record.

        Nothing of it begins any more; a handler that runs may still succeed, and then the
        execution has. What steps of a plan did is undone. To ask again changes nothing.

        Raises:
            ApiError: the gateway refused, say with code `execution_ended`.
            Unavailable: unknown whether it was taken; repeat.
        """
        return await self._ask_why(execution_path(execution_id), "cancel", reason, cancel_id)

    async def pause(
        self, execution_id: str, reason: str = "", *, pause_id: str | None = None
    ) -> Asked:
        """Ask the execution to rest; `reason` is for the record.

        A handler that runs goes on, and times pass; but nothing more of it is dispatched until it
        is resumed. To ask again changes nothing.

        Raises:
            ApiError, Unavailable: as `cancel`.
        """
        return await self._ask_why(execution_path(execution_id), "pause", reason, pause_id)

    async def resume(
        self, execution_id: str, reason: str = "", *, resume_id: str | None = None
    ) -> Asked:
        """Ask an execution that rests to go on, where it stands; `reason` is for the record.

        Raises:
            ApiError, Unavailable: as `cancel`.
        """
        return await self._ask_why(execution_path(execution_id), "resume", reason, resume_id)

    async def compensate(
        self, execution_id: str, reason: str = "", *, compensate_id: str | None = None
    ) -> Asked:
        """Ask that what the execution has done be undone; `reason` is for the record.

        Nothing more of its plan begins; what runs is waited for; then each step that was done, or
        may have been, is undone in reverse. To ask again changes nothing.

        Raises:
            ApiError: the gateway refused, say with code `no_compensation`: it has no plan.
            Unavailable: unknown whether it was taken; repeat.
        """
        return await self._ask_why(saga_path(execution_id), "compensate", reason, compensate_id)

    async def retry_step(
        self,
        execution_id: str,
        step: str,
        input: BaseModel | Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        retry_id: str | None = None,
    ) -> Asked:
        """Ask that a step be tried again that has failed for good, of an execution that is stuck.

        It is one attempt beyond those of its policy. `input` takes the place of what the plan
        gives the step, in this and any later attempt; None: as before. A compensation is a step
        too, called `compensate:` and the name of what it undoes. `retry_id` is the idempotency
        key: a repeat with the same one tries nothing.

        Raises:
            ApiError: the gateway refused, say with code `step_not_failed` or `step_not_found`.
            Unavailable: unknown whether it was taken; repeat with the retry id in `cure`.
        """
        path = f"{saga_path(execution_id)}/steps/{quote(step, safe='')}/retry"
        retry_id = retry_id or ids.new_intent_id()
        body = {"reason": reason} if input is None else {"reason": reason, "input": input}
        return await self._ask(path, body, retry_id, f"Repeat with retry id {retry_id}.")

    async def _ask_why(self, path: str, verb: str, reason: str, key: str | None) -> Asked:
        body = {"reason": reason}
        return await self._ask(f"{path}/{verb}", body, key or ids.new_intent_id(), "Repeat.")

    async def _ask(self, path: str, body: Mapping[str, Any], key: str, cure: str) -> Asked:
        answer = await call(
            self._http,
            "POST",
            path,
            body=body,
            headers={"Idempotency-Key": key},
            retry_s=self._retry_s,
            cure=cure,
        )
        return read(Asked, answer)


def session_path(session_id: str) -> str:
    """Where a session is.

    Raises:
        CallerError: `malformed_id`, it is no session id.
    """
    if not (session_id.isascii() and ids.is_session_id(session_id)):
        raise CallerError(
            f"{session_id[:80]!r} is no session id.",
            code="malformed_id",
            field="session_id",
            cure="Use the id with which the session was opened.",
        )
    return f"/v1/sessions/{session_id}"


def execution_path(execution_id: str) -> str:
    """Where an execution is.

    Raises:
        CallerError: `malformed_id`, it is no execution id.
    """
    return f"/v1/executions/{_checked(execution_id)}"


def saga_path(execution_id: str) -> str:
    """Where an execution's saga is; errors as of `execution_path`."""
    return f"/v1/sagas/{_checked(execution_id)}"


def _checked(execution_id: str) -> str:
    if not ids.is_execution_id(execution_id):
        raise CallerError(
            f"{execution_id[:80]!r} is no execution id.",
            code="malformed_id",
            cure="Use the id as it was returned: exe-<partition>-<32 hex>.",
        )
    return execution_id
