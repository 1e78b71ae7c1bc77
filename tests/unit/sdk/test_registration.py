"""Which capability a worker registers: the same contract never twice, another as a new version."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from tests.unit.sdk.fakes import NOW

from symphainy import Context, Determinism, Outcome, Realm, Retry
from symphainy.worker.capabilities import Registration, capability
from symphainy.worker.versions import successor
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import Capability
from symphainy_transport.settings import TransportSettings


class File(BaseModel):
    """A payload."""

    path: str


def ours(**changes: Any) -> Capability:
    """What a worker knows of its handler."""

    @Realm("content").intent(
        "content.read",
        retry=Retry(attempts=3, initial="2s", factor=3.0, maximum="5m"),
        timeout="90s",
        determinism=Determinism.DETERMINISTIC,
    )
    async def read(ctx: Context, payload: File) -> Outcome:
        """Read a file."""
        return Outcome()

    found = capability(read, 0, Registration(TransportSettings(), "w-2", NOW))
    return msgspec.structs.replace(found, **changes)


def test_a_capability_says_all_that_was_declared() -> None:
    found = ours()
    assert (found.name, found.realm, found.handler) == ("content.read", "content", "read")
    assert (found.description, found.determinism) == ("Read a file.", Determinism.DETERMINISTIC)
    assert (found.timeout_ms, found.attempts) == (90_000, 3)
    assert (found.backoff_ms, found.backoff_factor, found.backoff_max_ms) == (2_000, 3.0, 300_000)
    assert (found.registered_at, found.registered_by) == (NOW, "w-2")
    assert decode(encode(found), Capability) == found


def test_the_first_version_is_one() -> None:
    assert successor(ours(), None) == ours(version=1)


def test_the_same_contract_stays_the_version_that_it_was() -> None:
    newest = ours(version=4, registered_at=1, registered_by="w-1")
    assert successor(ours(), newest) is newest


@pytest.mark.parametrize(
    "change",
    [
        {"handler": "other"},
        {"description": "Otherwise."},
        {"input_contract": b"{}"},
        {"output_contract": b"{}"},
        {"timeout_ms": 1},
        {"attempts": 9},
        {"backoff_ms": 1},
        {"determinism": Determinism.UNKNOWN},
    ],
)
def test_another_contract_is_the_next_version(change: dict[str, Any]) -> None:
    newest = ours(version=4, registered_at=1, registered_by="w-1", **change)
    assert successor(ours(), newest) == ours(version=5)
