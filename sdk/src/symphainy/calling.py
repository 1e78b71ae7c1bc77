"""HTTP calls of the gateway: the door where foreign errors become ours.

No answer, or one that says that a service did not answer (502, 503, 504), is `Unavailable`: what
was asked may or may not have happened. Any other refusal is an `ApiError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from symphainy.errors import ApiError
from symphainy.results import Problem
from symphainy.values import to_json
from symphainy_schemas.errors import SymphainyError, Unavailable

ModelT = TypeVar("ModelT", bound=BaseModel)
# Beyond the wait that a request asks for: the network, and the gateway's own work.
ANSWER_S = 15.0
# An event stream says at least every 15 s that it lives; silent for longer, it is cut.
_SILENCE_S = 40.0
_UNKNOWN_WHETHER = frozenset({502, 503, 504})


async def call(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
    timeout_s: float = ANSWER_S,
    cure: str = "Repeat the request.",
) -> httpx.Response:
    """The successful answer to a request.

    Raises:
        ApiError: the gateway refused.
        Unavailable: no answer; `cure` says how to repeat.
    """
    try:
        answer = await http.request(
            method,
            path,
            content=None if body is None else to_json(body, "The request"),
            headers=None if body is None else {"Content-Type": "application/json"},
            params=params,
            timeout=timeout_s,
        )
    except httpx.TransportError as error:
        raise _silent(error, cure) from error
    if not answer.is_success:
        raise _refusal(answer, cure)
    return answer


@asynccontextmanager
async def lines(
    http: httpx.AsyncClient, path: str, headers: Mapping[str, str]
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of an event stream as they come; errors as of `call`, also while reading."""
    timeout = httpx.Timeout(ANSWER_S, read=_SILENCE_S)
    accept = {"Accept": "text/event-stream", **headers}
    try:
        async with http.stream("GET", path, headers=accept, timeout=timeout) as answer:
            if not answer.is_success:
                await answer.aread()
                raise _refusal(answer, "Resume the stream.")
            yield answer.aiter_lines()
    except httpx.TransportError as error:
        raise _silent(error, "Resume the stream.") from error


def read(model: type[ModelT], answer: httpx.Response) -> ModelT:
    """The answer's document.

    Raises:
        ApiError: `unexpected_answer`.
    """
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise ApiError(
            f"The answer to {answer.request.method} {answer.request.url.path} is not what this "
            "version of the SDK expects.",
            status=answer.status_code,
            code="unexpected_answer",
            cure="Check the base URL, and that SDK and gateway are of the same release.",
        ) from error


def _silent(error: httpx.TransportError, cure: str) -> Unavailable:
    return Unavailable(
        f"The gateway did not answer: {type(error).__name__}: {error}.",
        code="gateway_unavailable",
        cure=cure,
    )


def _refusal(answer: httpx.Response, cure: str) -> SymphainyError:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:  # not a problem document: a proxy's page, say
        problem = Problem()
    status = answer.status_code
    message = problem.detail or problem.title or f"The gateway answered {status}."
    code = problem.code or f"http_{status}"
    if status in _UNKNOWN_WHETHER:
        return Unavailable(message, code=code, field=problem.field, cure=problem.cure or cure)
    after = answer.headers.get("Retry-After", "")
    return ApiError(
        message,
        status=status,
        code=code,
        field=problem.field,
        cure=problem.cure,
        retry_after_s=float(after) if after.isdigit() else 0.0,
    )
