"""Which versions a worker has and serves.

- Code serves older versions of a handler too, unless it says which it cannot go on with.
- A worker that only drains has the newest version with its contract, and needs one.
- What was said is forgotten only of who is not in the group, and long after.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel
from tests.unit.sdk.fakes import NOW
from tests.unit.sdk.test_registration import ours

from symphainy import Context, Realm
from symphainy.errors import DeclarationError
from symphainy.options import Serves
from symphainy.worker.versions import forgotten, old, registered, served
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import ServedVersions, Serving

DAY_MS = 86_400_000


class File(BaseModel):
    """A payload."""

    path: str


def realm(serves: Serves) -> Realm:
    """One that serves so much."""
    found = Realm("content")

    @found.intent("content.read", serves=serves)
    async def read(ctx: Context, payload: File) -> None:
        """Read a file."""

    return found


@pytest.mark.parametrize(("serves", "oldest"), [("older", 1), ("own", 3), (2, 2), (3, 3)])
def test_a_handler_says_which_older_versions_it_goes_on_with(serves: Serves, oldest: int) -> None:
    expected = (ServedVersions(intent_type="content.read", oldest=oldest, newest=3),)
    assert served(realm(serves), {"content.read": 3}) == expected


def test_a_handler_cannot_serve_only_what_is_newer_than_itself() -> None:
    with pytest.raises(DeclarationError, match=re.escape("serves=4 leaves nothing to serve")):
        served(realm(4), {"content.read": 3})


@pytest.mark.parametrize("wrong", [0, -1, True, "all", None, 1.5])
def test_what_names_no_versions_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="names no versions"):
        realm(wrong)


def test_a_worker_that_only_drains_has_the_newest_version_with_its_contract() -> None:
    known = [ours(version=n, handler=h) for n, h in ((1, "read"), (2, "read"), (3, "other"))]
    assert registered(ours(), known) is known[1]
    with pytest.raises(OperatorError, match="has the contract of this code"):
        registered(ours(), known[2:])


def test_what_was_said_is_forgotten_long_after_its_worker_is_gone() -> None:
    said = {
        name.encode(): Serving(worker_id=name, realm="content", versions=(), registered_at=at)
        for name, at in (("lives", 0), ("gone", 0), ("starts", NOW - DAY_MS))
    }
    assert set(old(said, NOW)) == {b"lives", b"gone"}
    assert forgotten(said, ["lives"], NOW) == (b"gone",)
