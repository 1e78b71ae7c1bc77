"""What a re-drive states.

- The new intent's id is a function of the run and the old execution, and of nothing else.
- It has of the old one what it needs, and names it; of work that was re-driven before, its first.
- Places are taken from an offset on, below another.
- Whatever offsets are wanted, the spans that are read hold them all, in order, and none twice.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_cli.redrive_reading import _GAP, _spans
from symphainy_cli.redriving import Old, Place, Within, new_id, statement
from symphainy_schemas import ids
from symphainy_schemas.records import Intent

SESSION = f"ses-2-{'0' * 32}"
OLD = Old("exe-2-" + "a" * 32, "orders.place", "failed", "declined", Place(2, 77))


def intent(metadata: bytes = b'{"source":"http","team":"claims"}', **changed: str) -> Intent:
    return Intent(
        intent_id="first",
        intent_type=changed.get("intent_type", "orders.place"),
        realm=changed.get("realm", "orders"),
        session_id=SESSION,
        tenant_id="acme",
        principal="ann",
        correlation_id="order-7",
        payload=b"{}",
        metadata=metadata,
        solution_context=b'{"solution":"poc"}',
        created_at=1,
    )


def test_an_id_is_of_the_run_and_the_old_execution() -> None:
    assert new_id("1", OLD) == new_id("1", OLD._replace(status="rejected", code=""))
    assert new_id("1", OLD) != new_id("2", OLD)
    assert new_id("1", OLD) != new_id("1", OLD._replace(execution_id="exe-2-" + "b" * 32))
    assert ids.INTENT_ID.fullmatch(new_id("1", OLD))


def test_the_new_intent_names_the_old_one() -> None:
    body = statement(OLD, intent(), b'{"order":7}', "1", "")
    link = body["metadata"].pop("redrive")
    assert link == {
        "run": "1",
        "execution_id": OLD.execution_id,
        "intent_id": "first",
        "status": "failed",
        "topic": "intents",
        "partition": 2,
        "offset": 77,
        "first": OLD.execution_id,
    }
    assert body == {
        "intent_id": new_id("1", OLD),
        "intent_type": "orders.place",
        "session_id": SESSION,
        "payload": {"order": 7},
        "correlation_id": "order-7",
        "metadata": {"source": "http", "team": "claims"},
        "solution_context": {"solution": "poc"},
    }


def test_work_that_was_re_driven_before_names_its_first() -> None:
    metadata = json.dumps({"redrive": {"first": "exe-2-" + "f" * 32, "run": "1"}}).encode()
    link = statement(OLD, intent(metadata), b"{}", "1", "")["metadata"]["redrive"]
    assert link["first"] == "exe-2-" + "f" * 32
    assert link["execution_id"] == OLD.execution_id


def test_a_shared_type_says_whose_it_is_and_another_session_may_be_stated() -> None:
    shared = intent(intent_type="cross_realm.settle", realm="orders")
    other = f"ses-1-{'1' * 32}"
    body = statement(OLD, shared, b"{}", "1", other)
    assert (body["realm"], body["session_id"]) == ("orders", other)


@pytest.mark.parametrize("metadata", [b"{", b"[]", b"7"])
def test_what_is_no_json_object_is_not_guessed(metadata: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (of any kind: the caller tells its text)
        statement(OLD, intent(metadata), b"{}", "1", "")


def test_places_are_from_an_offset_on_and_below_another() -> None:
    within = Within(2, 5, 8)
    assert [offset for offset in range(10) if within.has(Place(2, offset))] == [5, 6, 7]
    assert not within.has(Place(1, 6))
    assert Within().has(Place(9, 0))


@given(st.lists(st.integers(0, 20_000), unique=True).map(sorted))
def test_spans_hold_what_is_wanted(offsets: list[int]) -> None:
    spans = list(_spans(offsets))
    assert all(any(first <= one <= last for first, last in spans) for one in offsets)
    assert all(first in offsets and last in offsets for first, last in spans)
    pairs = pairwise(spans)
    assert all(later[0] - earlier[1] > _GAP for earlier, later in pairs)
