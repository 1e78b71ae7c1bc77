"""HTTP calls of the gateway: the door where foreign errors become ours.

No answer, or one that says that a service did not answer (502, 503, 504), is `Unavailable`: what
was asked may or may not have happened. Any other refusal is an `ApiError`. An answer that says when
to come back (429 and 503 with Retry-After) is asked for again then, within the caller's patience.
"""

from __future__ import annotations

import asyncio
import random
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
_COME_BACK = frozenset({429, 503})
# Many are told the same Retry-After at once: nobody comes earlier, and they do not come together.
_SPREAD = 0.25
_PAUSE_MIN_S = 0.1  # a Retry-After of 0 is no leave to hammer


async def call(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    timeout_s: float = ANSWER_S,
    retry_s: float = 0.0,
    cure: str = "Repeat the request.",
) -> httpx.Response:
    """The successful answer to a request, which must be one that may be repeated.

    `timeout_s` is for one answer; for `retry_s` it is asked again when the gateway says so.

    Raises:
        ApiError: the gateway refused.
        Unavailable: no answer; `cure` says how to repeat.
    """
    content = None if body is None else to_json(body, "The request")
    sent = {} if body is None else {"Content-Type": "application/json"}
    clock = asyncio.get_running_loop().time
    give_up = clock() + retry_s
    while True:
        try:
            answer = await http.request(
                method,
                path,
                content=content,
                headers={**sent, **(headers or {})},
                params=params,
                timeout=timeout_s,
            )
        except httpx.TransportError as error:
            raise _silent(error, cure) from error
        if answer.is_success:
            return answer
        after_s = _retry_after_s(answer) if answer.status_code in _COME_BACK else None
        pause_s = 0.0 if after_s is None else spread(after_s)
        if after_s is None or clock() + pause_s > give_up:
            raise _refusal(answer, cure)
        await asyncio.sleep(pause_s)


def spread(after_s: float) -> float:
    """The pause after a Retry-After of so many seconds: at least that, and not everybody's."""
    return max(after_s, _PAUSE_MIN_S) * (1 + random.random() * _SPREAD)


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
    return ApiError(
        message,
        status=status,
        code=code,
        field=problem.field,
        cure=problem.cure,
        retry_after_s=_retry_after_s(answer) or 0.0,
    )


def _retry_after_s(answer: httpx.Response) -> float | None:
    """None where it names no seconds; a date, which a proxy may write, is none."""
    after = answer.headers.get("Retry-After", "")
    return float(after) if after.isascii() and after.isdigit() else None
