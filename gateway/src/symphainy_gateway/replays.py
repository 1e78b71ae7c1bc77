"""Replays and validations as clients ask for them. Pure.

Here they only read: what a handler did is shown, none is called. Who asks must be one of those to
whom decisions are explained, since both tell them; whether they may, the owner decides (ADR 17).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from symphainy_gateway.bodies import invalid
from symphainy_gateway.callers import Caller
from symphainy_gateway.controls import control
from symphainy_gateway.explaining import is_told_why
from symphainy_gateway.intents import JsonObject, Origin, Submission, required
from symphainy_gateway.problems import Refused
from symphainy_runtime.policy.actions import REPLAY
from symphainy_runtime.read_model.reader import Document
from symphainy_transport.credentials import READ

FULL = "full"

_Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class ReplayBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which replay is wanted, and as of when."""

    mode: Literal["events_only", "state_only", "full"]
    at_offset: Annotated[
        _Offset | None, Meta(description="As of this journal offset; null: as of now.")
    ] = None
    at: Annotated[
        _Offset | None, Meta(description="As of this journaled time, ms since the epoch.")
    ] = None
    handler_version: Annotated[
        int | None, Meta(description="Only of a full replay, which runs where the code is.")
    ] = None


_decoder = msgspec.json.Decoder(ReplayBody)


def read_replay(body: bytes) -> ReplayBody:
    """The replay that a body asks for.

    Raises:
        Refused: the body is none, or asks for what cannot be together.
    """
    asked = required(body, _decoder, ReplayBody)
    if asked.handler_version is not None and asked.mode != FULL:
        raise invalid("/handler_version", f"A replay of mode {asked.mode} calls no handler.")
    if asked.at_offset is not None and asked.at is not None:
        raise invalid("/at", "State at_offset or at, not both.")
    return asked


def stated(
    document: Document, mode: str, origin: Origin, asked: ReplayBody | None = None
) -> Submission:
    """The control intent by which the caller asks to read so of an execution.

    Raises:
        Refused: the credential is not for reading.
    """
    payload: JsonObject = {"execution_id": document["execution_id"], "mode": mode}
    if asked is not None:
        moment = {"at_offset": asked.at_offset, "at": asked.at}
        payload |= {name: value for name, value in moment.items() if value is not None}
    return control(
        REPLAY,
        document["session_id"],
        payload,
        origin,
        scope=READ,
        correlation_id=document["correlation_id"],
    )


def needs_code(execution_id: str, decided: str) -> Refused:
    """The refusal of a full replay that was permitted, as the execution `decided` tells."""
    return Refused(
        "A full replay runs the realm's handlers, and the gateway has no realm's code.",
        code="replay_needs_code",
        field="/mode",
        cure=f"It is allowed. Run it where the code is: symphainy replay execution {execution_id} "
        "--mode full --handlers module:realm.",
        execution_id=decided,
    )


def undecided(execution_id: str, intent_id: str, seconds: float) -> Refused:
    """The refusal of what nobody has decided in time: it may come to be allowed, unused."""
    return Refused(
        f"Whether it is allowed was not decided within {seconds:g} s.",
        code="undecided",
        cure="Ask again; each time it is decided anew.",
        execution_id=execution_id,
        intent_id=intent_id,
    )


def require_reading_back(caller: Caller) -> None:
    """Raises `Refused` if the caller is not one who may replay and validate."""
    if not is_told_why(caller):
        raise Refused(
            "The credential's roles do not let it replay or validate executions.",
            code="out_of_scope",
            cure="Use a credential with the role operator, auditor or tenant_admin.",
        )
