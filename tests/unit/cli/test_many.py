"""Which executions a bulk verb asks, and what it says became of them.

- Every page is read; only what the verb means something to is chosen, each once.
- At most so many are asked at a time; the outcome of each is told by its kind and code.
- A repeat of a retry has the same intent id until the step has failed again; a signal's has it for
  as long as the run has the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from symphainy import ApiError, Asked
from symphainy_cli import many
from symphainy_cli.filters import Filters
from symphainy_cli.many import Answer, Choose, Outcome, Target, ask_each, find
from symphainy_schemas import ids
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.state import ExecutionStatus


def document(name: str, status: str = "running", **members: Any) -> dict[str, Any]:
    """An execution as a listing gives it."""
    return {
        "execution_id": name,
        "intent_type": "shop.order",
        "status": status,
        "cancel": None,
        "paused": None,
        "compensation": None,
        "plan": [{}],
        "steps": [],
        **members,
    }


def failed(name: str, attempt: int = 3) -> dict[str, Any]:
    """A step that has."""
    return {"step": name, "status": "failed", "attempt": attempt}


class Pages:
    """A listing of two a page, by status where that is asked."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = documents
        self.queries: list[dict[str, str]] = []

    async def executions(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A page."""
        asked = dict(query or {})
        self.queries.append(asked)
        status = asked.get("status")
        matching = [one for one in self.documents if status in (None, one["status"])]
        start = int(asked.get("cursor", 0))
        more = str(start + 2) if start + 2 < len(matching) else None
        return {"items": matching[start : start + 2], "cursor": more}


async def found(pages: Pages, filters: Filters, choose: Choose) -> list[str]:
    """The ids of what is found."""
    return [one.execution_id async for one in find(pages, filters, choose)]


async def test_every_page_is_read_under_the_filters() -> None:
    pages = Pages(*(document(f"e{number}") for number in range(5)))
    filters = Filters(type="shop.order", from_="1", to="9", session="s")
    assert await found(pages, filters, many.to_cancel) == ["e0", "e1", "e2", "e3", "e4"]
    first, second, third = pages.queries
    assert first == {"type": "shop.order", "from": "1", "to": "9", "session": "s", "limit": "200"}
    assert (second["cursor"], third["cursor"]) == ("2", "4")


async def test_without_an_index_of_its_own_what_is_under_way_is_listed_by_status() -> None:
    pages = Pages(document("ended", "succeeded"), document("waits", "waiting"), document("runs"))
    assert await found(pages, Filters(from_="1"), many.to_cancel) == ["runs", "waits"]
    assert [one["status"] for one in pages.queries] == [
        "accepted",
        "running",
        "waiting",
        "compensating",
        "stuck",
    ]


async def test_what_moves_between_two_listings_is_found_once() -> None:
    class Moving(Pages):
        async def executions(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
            return {"items": [document("e1")], "cursor": None}

    assert await found(Moving(), Filters(from_="1"), many.to_cancel) == ["e1"]


ASKED = {"by": "ann", "at": 1, "reason": ""}
UNDOING = [{"step": "compensate:charge", "status": "failed", "attempt": 2}, failed("ship", 1)]


@pytest.mark.parametrize(
    ("choose", "members", "chosen"),
    [
        (many.to_cancel, {}, True),
        (many.to_cancel, {"status": "succeeded"}, False),
        (many.to_cancel, {"status": "unknown"}, False),
        (many.to_cancel, {"cancel": ASKED}, False),
        (many.to_cancel, {"cancel": ASKED, "status": "stuck"}, True),
        (many.to_signal, {"status": "waiting"}, True),
        (many.to_signal, {"status": "failed"}, False),
        (many.to_pause, {}, True),
        (many.to_pause, {"paused": ASKED}, False),
        (many.to_resume, {}, False),
        (many.to_resume, {"paused": ASKED}, True),
        (many.to_resume, {"paused": ASKED, "status": "cancelled"}, False),
        (many.to_compensate, {"status": "stuck"}, True),
        (many.to_compensate, {"plan": None}, False),
        (many.to_compensate, {"compensation": ASKED}, False),
        (many.to_compensate, {"steps": UNDOING}, False),
        (many.to_compensate, {"status": "compensated"}, False),
    ],
)
def test_a_verb_chooses_what_it_means_something_to(
    choose: Choose, members: dict[str, Any], chosen: bool
) -> None:
    assert bool(list(choose(document("e1", **members)))) is chosen


def test_a_retry_chooses_the_failed_steps_of_what_is_stuck() -> None:
    steps = [failed("charge"), failed("print", 1), {"step": "reserve", "status": "succeeded"}]
    stuck = document("e1", "stuck", steps=steps)
    assert [(one.step, one.attempt) for one in many.to_retry()(stuck)] == [
        ("charge", 3),
        ("print", 1),
    ]
    assert [one.step for one in many.to_retry("print")(stuck)] == ["print"]
    assert list(many.to_retry("reserve")(stuck)) == []
    assert list(many.to_retry()(stuck | {"status": "running"})) == []


def test_a_retry_of_what_is_stuck_while_it_is_undone_is_of_what_undoes() -> None:
    stuck = document("e1", "stuck", steps=UNDOING)
    assert [one.step for one in many.to_retry()(stuck)] == ["compensate:charge"]


def target(name: str, step: str = "", attempt: int = 0) -> Target:
    """Whom to ask."""
    return Target(name, "shop.order", "running", step, attempt)


def test_a_repeat_of_a_retry_is_known_until_the_step_has_failed_again() -> None:
    first = many.retry_id(target("e1", "charge", 3), "why")
    assert ids.INTENT_ID.fullmatch(first)
    assert many.retry_id(target("e1", "charge", 3), "why") == first
    others = [
        many.retry_id(target("e1", "charge", 4), "why"),
        many.retry_id(target("e1", "print", 3), "why"),
        many.retry_id(target("e2", "charge", 3), "why"),
        many.retry_id(target("e1", "charge", 3), "another"),  # else another payload under one id
    ]
    assert len({first, *others}) == 5


def test_a_signal_is_sent_once_in_a_run() -> None:
    first = many.signal_id("run-1", target("e1"))
    assert ids.INTENT_ID.fullmatch(first)
    assert many.signal_id("run-1", target("e1")) == first
    assert many.signal_id("run-2", target("e1")) != first
    assert many.signal_id("run-1", target("e2")) != first


SUCCEEDED = Asked(status=ExecutionStatus.SUCCEEDED)


async def test_at_most_so_many_are_asked_at_a_time() -> None:
    under_way, most = 0, 0

    async def ask(_: Target) -> Asked:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _turn in range(3):
            await asyncio.sleep(0)
        under_way -= 1
        return SUCCEEDED

    answers: list[Answer] = []
    targets = [target(f"e{number}") for number in range(20)]
    await ask_each(targets, ask, 4, answers.append)
    assert sorted(one.target for one in answers) == sorted(targets)
    assert most == 4


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (SUCCEEDED, Outcome.RECORDED, ""),
        (Asked(status=ExecutionStatus.ACCEPTED), Outcome.ACCEPTED, ""),
        (ApiError("No.", status=409, code="execution_ended"), Outcome.ENDED, "execution_ended"),
        (ApiError("No.", status=409, code="step_may_run"), Outcome.REFUSED, "step_may_run"),
        (Unavailable("Gone.", code="wal_unavailable"), Outcome.UNKNOWN, "wal_unavailable"),
    ],
)
async def test_what_became_of_a_request_is_told_by_kind_and_code(
    answer: Asked | Exception, outcome: Outcome, code: str
) -> None:
    async def ask(_: Target) -> Asked:
        if isinstance(answer, Exception):
            raise answer
        return answer

    answers: list[Answer] = []
    await ask_each([target("e1"), target("e2")], ask, 8, answers.append)
    assert [(one.outcome, one.code) for one in answers] == [(outcome, code)] * 2
    assert many.summary(answers) == {(outcome, code): 2}


async def test_an_error_that_is_nobodys_answer_ends_the_run() -> None:
    async def ask(_: Target) -> Asked:
        raise RuntimeError("a fault of ours")

    with pytest.raises(ExceptionGroup) as raised:
        await ask_each([target("e1")], ask, 8, lambda _: None)
    assert raised.group_contains(RuntimeError, match="a fault of ours")
