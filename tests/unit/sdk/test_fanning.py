"""Steps of a plan that are run for each element of a list, as declared.

- The list and what each element is given are templates; left out, it is given the element.
- What the list is of is needed; the result is the list of the step's results.
- EACH stands in the input of such a step, and nowhere else.
- What cannot be a list is refused, and what an element cannot give to its handler.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sdk.test_plans import (
    REGISTRATION,
    Stating,
    Trip,
    alone,
    book,
    declared,
    note,
    refused,
)

from symphainy import EACH, DeclarationError, Plan, PlanInput, Step, Value
from symphainy.worker.capabilities import plan_capability
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import Capability, PlannedStep

TRIP: PlanInput[Any] = PlanInput()


def of(source: Step[Any] | None, **options: Any) -> Stating:
    """A plan of a step `one`, run for each of what is given, beside where that is from."""
    steps = [] if source is None else [source]
    return lambda trip: Plan([*steps, Step("one", "a.b", **options)])


def test_the_list_and_what_each_is_given_are_templates() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        rooms = Step(
            "rooms",
            book,
            {"city": trip["city"], "nights": 2, "guest": EACH},
            for_each=Value("found", "/guests"),
            at_most=3,
        )
        return Plan([Step("found", "a.find"), rooms, Step("each", "a.b", for_each=rooms.result)])

    found, rooms, each = declared(stating).steps
    assert found.for_each == b""
    assert rooms == PlannedStep(
        step="rooms",
        intent_type="travel.book",
        needs=("found",),
        input=b'{"city":{"$from":"payload","at":"/city"},"nights":2,'
        b'"guest":{"$from":"$each","at":""}}',
        condition=b"",
        for_each=b'{"$from":"found","at":"/guests"}',
        at_most=3,
    )
    assert each.needs == ("rooms",)
    assert each.for_each == b'{"$from":"rooms","at":""}'
    assert each.input == b'{"$from":"$each","at":""}'


def test_it_is_registered() -> None:
    plan = declared(of(Step("from", "a.b"), for_each=Step("from", "a.b").result, at_most=2))
    found = plan_capability(plan, 1, REGISTRATION)
    assert found.plan[1].at_most == 2
    assert decode(encode(found), Capability) == found


A = Step("a", "a.b")


@pytest.mark.parametrize(
    ("stating", "says"),
    [
        (alone("a.b", EACH), "refers to EACH, and there is no element"),
        (alone("a.b", {"a": [EACH["x"]]}), "refers to EACH, and there is no element"),
        (of(A, for_each=A.result, when=EACH.is_(1)), "the condition refers to EACH"),
        (of(A, for_each=EACH["x"]), "for_each refers to EACH"),
        (lambda trip: Plan([A], result=[EACH]), "the result refers to EACH"),
        (of(None, for_each=A.result), "one needs 'a', which is no step"),
        (of(None, for_each=[1, 2]), "run for each of a list"),
        (of(None, for_each="items"), "run for each of a str"),
        (of(A, for_each=A), "run for each of a Step"),
        (of(A, at_most=2), "has at_most=2 and is run once"),
        (of(A, for_each=A.result, at_most=0), "at_most=0 is no number from 1"),
        (of(A, for_each=A.result, at_most=True), "at_most=True is no number from 1"),
        (lambda trip: Plan([Step("a[0]", "a.b")]), "'a[0]' is no step's name"),
    ],
)
def test_what_cannot_be_run_for_each_is_refused(stating: Stating, says: str) -> None:
    error = refused(stating)
    assert error.code == "bad_plan"
    assert says in error.message


ROOM = {"city": "Rome", "nights": 1}
BOOKED = Step("booked", book, ROOM)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step("one", "a.b", for_each=TRIP["city"]), "for_each is a string, and an array is wanted"),
        (Step("one", "a.b", for_each=TRIP["cities"]), "/cities of payload, where nothing can"),
        (Step("one", "a.b", for_each=TRIP["guests"]), "for_each is null where the payload leaves"),
        (Step("one", "a.b", for_each=BOOKED.result["ref"]), "for_each is a string"),
        (Step("one", note, for_each=BOOKED.result["rooms"]), "is an integer, and an object"),
        (Step("one", "a.b", EACH["x"], for_each=BOOKED.result["rooms"]), "/rooms/0/x of booked"),
        (
            Step("one", book, ROOM | {"guest": EACH}, for_each=BOOKED.result["rooms"]),
            "/guest is an integer",
        ),
    ],
)
def test_what_does_not_fit_is_refused(step: Step[Any], says: str) -> None:
    assert says in refused(lambda trip: Plan([BOOKED, step])).message


def test_the_result_is_a_list_of_what_the_handler_returns() -> None:
    rooms = Step("rooms", book, ROOM, for_each=BOOKED.result["rooms"])
    first = {"city": rooms.result[0]["ref"], "nights": 1}
    declared(lambda trip: Plan([BOOKED, rooms, Step("two", book, first)]))
    wrong = {"city": rooms.result["ref"], "nights": 1}
    error = refused(lambda trip: Plan([BOOKED, rooms, Step("two", book, wrong)]))
    assert "refers to /ref of rooms, where nothing can stand" in error.message


def test_who_walks_through_a_value_is_told_of_for_each() -> None:
    with pytest.raises(DeclarationError) as caught:
        list(TRIP["guests"])
    assert "for_each" in caught.value.cure
