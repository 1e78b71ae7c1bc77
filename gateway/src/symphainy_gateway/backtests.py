"""Backtests as clients ask for them, and as they are told while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from symphainy_gateway.backend import Backtest, Trial
from symphainy_gateway.bodies import invalid
from symphainy_gateway.callers import Caller
from symphainy_gateway.intents import required
from symphainy_gateway.parameters import TIME_CURE, moment
from symphainy_gateway.policies import PolicyTexts, require_governing
from symphainy_gateway.problems import Refused, problem_of
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_runtime.policy.reading import BadPolicy
from symphainy_runtime.policy.writing import policy_set
from symphainy_schemas.errors import CallerError, SymphainyError
from symphainy_schemas.records import PLATFORM, PolicySet
from symphainy_transport.topics import DAY_MS

DAYS = 7
"""Of history that is looked at, where nothing else is said: as on the command line."""
# Often enough for a bar that moves, and for proxies, which close what is silent for a minute.
TOLD_EVERY_S = 1.0
_Time = str | Annotated[int, Meta(ge=0, lt=10**15)]
_Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_encoder = msgspec.json.Encoder()


class BacktestBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Policies on trial, and the range of history that they are tried on."""

    candidate: Annotated[
        PolicyTexts | None, Meta(description="The policies; or `version`, not both.")
    ] = None
    version: Annotated[
        Annotated[int, Meta(ge=1, lt=2**31)] | None,
        Meta(description="A version that `config` holds."),
    ] = None
    platform: Annotated[
        bool, Meta(description="The platform's are on trial, on all tenants: platform_operator.")
    ] = False
    since: Annotated[_Time | None, Meta(description=f"RFC 3339, or ms; null: {DAYS} days ago.")] = (
        None
    )
    until: Annotated[_Time | None, Meta(description="Exclusive; null: the end.")] = None
    partition: Annotated[
        Annotated[int, Meta(ge=0, lt=100_000)] | None, Meta(description="Null: all.")
    ] = None
    from_offset: Annotated[
        _Offset | None, Meta(description="Of `intents`; needs `partition`, and no times.")
    ] = None
    to_offset: Annotated[_Offset | None, Meta(description="Likewise; exclusive.")] = None
    examples: Annotated[int, Meta(ge=0, le=100, description="Of each group.")] = 3


_decoder = msgspec.json.Decoder(BacktestBody)


def require_author(caller: Caller, body: BacktestBody) -> None:
    """Raises `Refused` if the caller is not one who may put such policies in force."""
    require_governing(caller, "try policies")
    if body.platform and PLATFORM_OPERATOR not in caller.roles:
        raise Refused(
            "The platform's policies are tried on every tenant's intents.",
            code="out_of_scope",
            field="/platform",
            cure=f"Use a credential with the role {PLATFORM_OPERATOR}.",
        )


def read_backtest(body: bytes) -> BacktestBody:
    """What a body asks for.

    Raises:
        Refused: it asks for something else.
    """
    return required(body, _decoder, BacktestBody)


def trial_of(asked: BacktestBody, tenant_id: str, now: int, partitions: int) -> Trial:
    """The backtest that is asked for; `now` in ms since the epoch.

    Raises:
        Refused: what is asked cannot be together, or names what is not there.
    """
    by_offsets = asked.from_offset is not None or asked.to_offset is not None
    times = asked.since is not None or asked.until is not None
    if by_offsets and asked.partition is None:
        raise invalid("/partition", "Offsets are of one partition: state it, too.")
    if by_offsets and times:
        name = "/since" if asked.since is not None else "/until"
        raise invalid(name, "State times or offsets, not both.")
    if asked.partition is not None and asked.partition >= partitions:
        raise invalid("/partition", f"The partitions are 0 to {partitions - 1}.")
    scope = PLATFORM if asked.platform else tenant_id
    since = _moment("/since", asked.since)
    return Trial(
        scope=scope,
        given=_given(asked, scope),
        since=now - DAYS * DAY_MS if since is None and not by_offsets else since,
        until=_moment("/until", asked.until),
        partition=asked.partition,
        from_offset=asked.from_offset,
        to_offset=asked.to_offset,
        examples=asked.examples,
        partitions=partitions,
    )


def _given(asked: BacktestBody, scope: str) -> PolicySet | int:
    if asked.candidate is None and asked.version is not None:
        return asked.version
    if asked.candidate is None or asked.version is not None:
        raise invalid("/candidate", "State either a candidate or a version.")
    return policy_set(scope, asked.candidate.texts, note="candidate")


def _moment(field: str, told: str | int | None) -> int | None:
    found = moment(told) if isinstance(told, str) else told
    if told is not None and found is None:
        raise invalid(field, f"{str(told)[:40]!r} is no time. {TIME_CURE}")
    return found


def pointed(error: CallerError, trial: Trial) -> Refused:
    """An error about a range or policies, told of the member of the body that says it."""
    field = "" if error.code == "tenant_not_found" else f"/{error.field}"  # which no body names
    if isinstance(error, BadPolicy):
        field = "/version" if isinstance(trial.given, int) else f"/candidate/{error.field}"
    return Refused(error.message, code=error.code, field=field, cure=error.cure)


def unheard(records: int, intents: int) -> None:
    """The progress of a backtest that nobody follows."""


async def lines(backtest: Backtest) -> AsyncGenerator[bytes, None]:
    """Run it, and tell of it: how far it is, time and again; then what it found, or what it met.
    Closed before its end, it returns when nothing of it runs any more."""
    records = intents = 0

    def progress(more_records: int, more_intents: int) -> None:
        nonlocal records, intents
        records, intents = records + more_records, intents + more_intents

    working = asyncio.ensure_future(backtest.run(progress))
    try:
        while not working.done():
            yield _line("progress", _so_far(records, intents, backtest.records))
            await asyncio.wait({working}, timeout=TOLD_EVERY_S)
        try:
            yield _line("report", working.result())
        except SymphainyError as error:
            yield _line("problem", problem_of(error))
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _so_far(records: int, intents: int, of: int) -> dict[str, int]:
    return {"records": records, "of": of, "intents": intents}


def _line(kind: str, told: Any) -> bytes:
    return _encoder.encode({kind: told}) + b"\n"
