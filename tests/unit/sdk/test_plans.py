"""Plans as declared: what the runtime is told of them, and what is refused where it is written.

- A plan is stated once, with names for places in the payload and in results.
- What is needed comes first; what is referred to is needed.
- What cannot be carried out is refused with the step's name and a cure; so is what cannot fit the
  contracts, where both sides are known.
- A worker registers plans beside handlers, and checks the steps of which it had only the names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.unit.sdk.fakes import NOW

from symphainy import (
    Context,
    DeclarationError,
    DeclaredPlan,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Recovery,
    Step,
    Value,
)
from symphainy.worker.capabilities import (
    Registration,
    capabilities,
    check_plans,
    plan_capability,
    tell_of_moves,
)
from symphainy.worker.worker import Worker
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import Capability, PlannedStep
from symphainy_schemas.templates import holds, resolve
from symphainy_transport.settings import TransportSettings

REGISTRATION = Registration(TransportSettings(), "w-2", NOW)


class Guest(BaseModel):
    name: str
    age: int = 0


class Trip(BaseModel):
    city: str
    days: int
    nights: int = 3
    maybe: int | None = None
    guests: list[Guest] = []
    tags: dict[str, str] = {}


class Room(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str
    nights: int
    price: float = 0.0
    kind: Literal["single", "double"] = "single"
    guest: Guest | None = None


class Booking(BaseModel):
    ref: str
    rooms: list[int] = []
    held_until: int | None = Field(default=None, alias="heldUntil")


travel = Realm("travel")


@travel.intent("travel.book")
async def book(ctx: Context, room: Room) -> Booking:
    return Booking(ref="r")


@travel.intent("travel.note")
def note(ctx: Context, trip: Trip) -> Outcome:
    return Outcome()


@travel.intent("travel.count")
def count(ctx: Context, trip: Trip) -> dict[str, int]:
    return {}


Stating = Callable[[PlanInput[Trip]], Plan]


def declared(stating: Stating, **options: Any) -> DeclaredPlan[Trip]:
    """A plan as a realm declares it."""

    def book_trip(trip: PlanInput[Trip]) -> Plan:
        """Book all of it.

        And more.
        """
        return stating(trip)

    return Realm("solution").plan("solution.book_trip", **options)(book_trip)


def refused(stating: Stating, **options: Any) -> DeclarationError:
    """Why it cannot be declared."""
    with pytest.raises(DeclarationError) as caught:
        declared(stating, **options)
    assert caught.value.cure
    return caught.value


def alone(*arguments: Any, **options: Any) -> Stating:
    """A plan of one step `one`, of the handler `book` unless another is given."""
    return lambda trip: Plan([Step("one", *arguments, **options)])


ROOM = {"city": "Rome", "nights": 1}


# -- what the runtime is told ---------------------------------------------------------------------


def test_steps_in_order_each_need_the_one_before_and_what_is_never_skipped() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        rich = trip["days"].is_(7)
        third = Step("third", note, when=rich)
        return Plan(
            [
                Step("first", note, needs=[]),
                Step("second", note, when=rich),
                third,
                Step("fourth", note, needs=[third, "first"]),
                Step("fifth", note),
            ],
            in_order=True,
        )

    found = declared(stating)
    assert {one.step: one.needs for one in found.steps} == {
        "first": (),
        "second": ("first",),
        "third": ("first", "second"),
        "fourth": ("third", "first", "second"),
        "fifth": ("fourth",),
    }
    assert [one.step for one in found.steps] == ["first", "second", "third", "fourth", "fifth"]


def test_the_first_in_order_must_not_have_a_condition() -> None:
    error = refused(lambda trip: Plan([Step("one", note, when=trip["days"].is_(7))], in_order=True))
    assert "step one is the first in order, and has a condition" in error.message


def test_what_needs_one_listed_behind_it_is_not_in_order() -> None:
    error = refused(
        lambda _: Plan([Step("one", note, needs=["two"]), Step("two", note)], in_order=True)
    )
    assert "one needs two needs one" in error.message


def test_a_plan_says_what_its_steps_need_and_get() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        room = Step("room", book, {"city": trip["city"], "nights": 2})
        ticket = Step(
            "ticket",
            "air.book",
            {
                "ref": room.result["ref"],
                "first": room.result["rooms"][0],
                "x": [trip["tags"]["/~"]],
            },
            needs=["note_it"],
            when=room.result["ref"].is_not("none"),
        )
        return Plan(
            [ticket, room, Step("note_it", "travel.note")],
            result={"ticket": ticket.result["a"], "n": [1, None]},
        )

    plan = declared(stating)
    assert plan.steps == (
        PlannedStep(
            step="room",
            intent_type="travel.book",
            needs=(),
            input=b'{"city":{"$from":"payload","at":"/city"},"nights":2}',
            condition=b"",
        ),
        PlannedStep(step="note_it", intent_type="travel.note", needs=(), input=b"", condition=b""),
        PlannedStep(
            step="ticket",
            intent_type="air.book",
            needs=("note_it", "room"),
            input=b'{"ref":{"$from":"room","at":"/ref"},"first":{"$from":"room","at":"/rooms/0"},'
            b'"x":[{"$from":"payload","at":"/tags/~1~0"}]}',
            condition=b'{"$from":"room","at":"/ref","in":["none"],"not":true}',
        ),
    )
    assert plan.output == b'{"ticket":{"$from":"ticket","at":"/a"},"n":[1,null]}'
    assert plan.by_name == {"note_it", "ticket"}
    given: dict[str, Any] = {"room": {"ref": "r", "rooms": [7]}, "payload": {"tags": {"/~": "t"}}}
    assert json.loads(resolve(plan.steps[2].input, given.get)) == {
        "ref": "r",
        "first": 7,
        "x": ["t"],
    }
    assert holds(plan.steps[2].condition, given.get)


def test_a_plan_carries_its_contract_and_options() -> None:
    plan = declared(alone("a.b"), recovery="retry_forward", deadline="1h")
    assert (plan.intent_type, plan.realm, plan.name) == (
        "solution.book_trip",
        "solution",
        "book_trip",
    )
    assert plan.description == "Book all of it."
    assert json.loads(plan.input_contract) == Trip.model_json_schema()
    assert plan.recovery is Recovery.RETRY_FORWARD
    found = plan_capability(plan, 4, REGISTRATION)
    assert (found.name, found.realm, found.handler) == (
        "solution.book_trip",
        "solution",
        "book_trip",
    )
    assert (found.plan, found.recovery, found.output) == (plan.steps, plan.recovery, b"")
    assert (found.deadline_ms, found.version, found.registered_at) == (3_600_000, 4, NOW)
    assert decode(encode(found), Capability) == found
    assert declared(alone("a.b")).recovery is Recovery.COMPENSATE
    held = declared(alone("a.b"), recovery=Recovery.HOLD_FOR_OPERATOR)
    assert held.recovery is Recovery.HOLD_FOR_OPERATOR


@pytest.mark.parametrize(
    ("given", "template"),
    [
        (None, b""),
        (PlanInput(), b""),
        (PlanInput()["days"], b'{"$from":"payload","at":"/days"}'),
        ({}, b"{}"),
        (Guest(name="ann"), b'{"name":"ann","age":0}'),
        ({"guests": (Guest(name="ann"), 1.5)}, b'{"guests":[{"name":"ann","age":0},1.5]}'),
        ({"a": {"$FROM": 1, "at": "x"}}, b'{"a":{"$FROM":1,"at":"x"}}'),
    ],
)
def test_an_input_is_an_object_a_value_or_the_whole_payload(given: Any, template: bytes) -> None:
    assert declared(alone("a.b", given)).steps[0].input == template


def test_conditions_compare_with_json_values() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        either = Step("either", "a.b", when=trip["city"].is_in(["Rome", None]))
        return Plan([either, Step("just", "a.b", when=either.result.is_({"a": [1]}))])

    first, second = declared(stating).steps
    assert first.condition == b'{"$from":"payload","at":"/city","in":["Rome",null]}'
    assert second.condition == b'{"$from":"either","at":"","in":[{"a":[1]}]}'
    assert second.needs == ("either",)


# -- names, needs and order -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Car", "1st", "a-b", "a" * 64, "compensate:car", "payload"])
def test_a_step_has_a_plain_name(name: str) -> None:
    error = refused(lambda trip: Plan([Step(name, "a.b")]))
    assert error.code == "bad_plan"
    assert repr(name) in error.message


@pytest.mark.parametrize(
    ("stating", "says"),
    [
        (lambda trip: Plan([]), "has no steps"),
        (lambda trip: Plan([Step("a", "a.b")] * 2), "two steps 'a'"),
        (lambda trip: Plan([Step(f"s{n}", "a.b") for n in range(101)]), "101 steps; the limit"),
        (lambda trip: Plan(["a.b"]), "lists a str"),  # type: ignore[list-item]
        (lambda trip: [Step("a", "a.b")], "returned a list"),
        (alone("a.b", needs=["two"]), "one needs 'two', which is no step"),
        (alone("a.b", needs="two"), "one needs 'two', which is no step"),
        (alone("a.b", needs=["one"]), "one needs one"),
        (alone("a.b", Step("b", "a.b").result), "one needs 'b', which is no step"),
        (alone("a.b", when=Step("b", "a.b").result.is_(1)), "one needs 'b', which is no step"),
        (alone("a.b", needs=[Step("b", "a.b").result]), "one needs <b>"),
        (alone("nothing"), "is 'nothing', which no realm answers"),
        (alone("runtime.cancel"), "is 'runtime.cancel', which no realm answers"),
        (alone("solution.book_trip"), "solution.book_trip, which is a plan"),
        (alone("cross_realm.move"), "cross_realm.move, which is a plan"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(stating: Stating, says: str) -> None:
    error = refused(stating)
    assert error.code == "bad_plan"
    assert "Plan solution.book_trip" in error.message
    assert says in error.message


def test_a_result_refers_to_steps_of_the_plan() -> None:
    error = refused(lambda trip: Plan([Step("a", "a.b")], result=Step("b", "a.b").result))
    assert "the result refers to 'b', which is no step of the plan" in error.message


def test_a_circle_is_named() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        one, two = Step("one", "a.b", needs=["three"]), Step("two", "a.b", needs=["one"])
        free, three = Step("free", "a.b"), Step("three", "a.b", {"x": two.result}, needs=["free"])
        return Plan([one, two, free, three])

    assert "one needs three needs two needs one" in refused(stating).message


def test_steps_stand_behind_what_they_need_and_else_as_they_were_stated() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        needs = {"d": ["b", "c"], "a": [], "c": ["a"], "b": ["a"], "e": []}
        return Plan([Step(name, "a.b", needs=which) for name, which in needs.items()])

    assert [one.step for one in declared(stating).steps] == ["a", "c", "b", "d", "e"]


def test_a_plan_is_no_step() -> None:
    realm = Realm("solution")

    @realm.plan("solution.inner")
    def inner(trip: PlanInput[Trip]) -> Plan:
        return Plan([Step("a", "a.b")])

    def outer(trip: PlanInput[Trip]) -> Plan:
        return Plan([Step("b", "solution.inner")])

    with pytest.raises(DeclarationError, match=r"solution\.inner, which is a plan"):
        realm.plan("solution.outer")(outer)
    other = Realm("solution")
    other.plan("solution.outer")(outer)
    with pytest.raises(DeclarationError, match=r"solution\.outer: step b is solution\.inner"):
        other.plan("solution.inner")(lambda_plan)
    wrong: Any = inner
    with pytest.raises(DeclarationError, match="is made of a DeclaredPlan"):
        Step("c", wrong)


def lambda_plan(trip: PlanInput[Trip]) -> Plan:
    return Plan([Step("a", "a.b")])


# -- templates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"a": {"$from": "payload"}}, "at /a has the key '$from'"),
        ({1: 2}, "has the key 1"),
        ({"a": [b"raw"]}, "at /a/0 holds raw bytes"),
        ({"a": float("nan")}, "at /a cannot be written as JSON"),
        ({"a": {1, 2}.__iter__}, "at /a cannot be written as JSON"),
        ([1], "gets a list"),
        ("text", "gets a str"),
        ({"a": Step("b", "a.b")}, "at /a holds Step('b', 'a.b')"),
        ({"a": PlanInput()["x"].is_(1)}, "at /a holds <<payload/x> in [1]>"),
        ({"a": "x" * 65_536}, "takes 65544 bytes; the limit is 65536"),
    ],
)
def test_what_is_no_template_is_refused(given: Any, says: str) -> None:
    error = refused(alone("a.b", given))
    assert says in error.message
    assert "step one" in error.message


@pytest.mark.parametrize(
    ("when", "says"),
    [
        (True, "has a bool as its condition"),
        (PlanInput()["x"], "has a Value as its condition"),
        (PlanInput()["x"].is_in([]), "compares with no value"),
        (PlanInput()["x"].is_(PlanInput()["y"]), "compares two values"),
        (PlanInput()["x"].is_(b""), "holds raw bytes"),
    ],
)
def test_what_is_no_condition_is_refused(when: Any, says: str) -> None:
    def stating(trip: PlanInput[Any]) -> Plan:
        return Plan([Step("one", "a.b", when=when)])

    assert says in refused(stating).message


def test_templates_are_limited_together() -> None:
    large = {"a": "x" * 60_000}
    error = refused(lambda trip: Plan([Step(n, "a.b", large) for n in "abc"]))
    assert "together; the limit is 131072" in error.message


@pytest.mark.parametrize(
    "early",
    [
        lambda value: value == "Rome",
        lambda value: value != "Rome",
        lambda value: "R" in value,
        lambda value: bool(value),
        lambda value: list(value),
        lambda value: f"to {value}",
        lambda value: str(value),
        lambda value: bool(value.is_("Rome")),
    ],
)
def test_a_value_is_not_there_when_the_plan_is_declared(early: Callable[[Any], object]) -> None:
    with pytest.raises(DeclarationError) as caught:
        early(PlanInput[Trip]()["city"])
    assert caught.value.code == "value_not_there"
    assert caught.value.cure


@pytest.mark.parametrize("part", [-1, True, 1.5, None])
def test_a_place_is_a_name_or_a_number(part: Any) -> None:
    with pytest.raises(DeclarationError, match="is no place in JSON"):
        PlanInput[Trip]()[part]
    with pytest.raises(DeclarationError, match=r"is_in\(\['Rome'\]\)"):
        PlanInput[Trip]()["city"].is_in("Rome")


# -- contracts ------------------------------------------------------------------------------------


def of_room(**changes: Any) -> Stating:
    """A plan whose step books a room, with changes to what it gets."""
    return alone(book, {**ROOM, **changes})


TRIP: PlanInput[Trip] = PlanInput()
TRIPPED = {"city": "Rome", "days": 1}


@pytest.mark.parametrize(
    "stating",
    [
        of_room(),
        of_room(city=TRIP["city"], nights=TRIP["days"], price=2),
        of_room(price=TRIP["days"]),
        of_room(guest=TRIP["guests"][3]),
        of_room(guest=None),
        of_room(guest={"name": TRIP["tags"]["any"]}),
        of_room(kind="double"),
        of_room(nights=3.0),  # JSON knows one kind of number
        of_room(nights=TRIP["maybe"]),  # whoever knows when may state a condition
        of_room(guest=TRIP["guests"][0]),
        alone(note),
        alone(note, {**TRIPPED, "more": 1}),
        alone(note, {**TRIPPED, "guests": [{"name": "ann"}, TRIP["guests"][0]]}),
        alone(note, {**TRIPPED, "maybe": TRIP["nights"]}),
    ],
)
def test_what_may_fit_is_taken(stating: Stating) -> None:
    assert declared(stating).steps[0].step == "one"


@pytest.mark.parametrize(
    ("stating", "why"),
    [
        (alone(book, {"city": "Rome"}), "the input lacks the required nights"),
        (alone(book, {}), "the input lacks the required city, nights"),
        (alone(book), "the input lacks the required nights"),
        (alone(book, TRIP["city"]), "the input is a string, and an object is wanted"),
        (of_room(nights="3"), "/nights is a string, and an integer is wanted"),
        (of_room(nights=True), "/nights is a boolean, and an integer is wanted"),
        (of_room(nights=2.5), "/nights is a number, and an integer is wanted"),
        (of_room(nights=TRIP["city"]), "/nights is a string, and an integer is wanted"),
        (of_room(city=[TRIP["city"]]), "/city is an array, and a string is wanted"),
        (of_room(more=1), "/more is no field of the contract"),
        (of_room(kind="triple"), "/kind is 'triple', and one of ['single', 'double'] is wanted"),
        (of_room(guest={}), "/guest lacks the required name"),
        (of_room(guest={"name": 1}), "/guest/name is an integer, and a string is wanted"),
        (of_room(nights=TRIP["nights"]), "/nights is null where the payload leaves it out"),
        (alone(note, {**TRIPPED, "guests": [{}]}), "/guests/0 lacks the required name"),
        (alone(note, {**TRIPPED, "tags": {"x": 1}}), "/tags/x is an integer, and a string"),
    ],
)
def test_what_a_handler_cannot_take_is_refused(stating: Stating, why: str) -> None:
    error = refused(stating)
    assert "Plan solution.book_trip: step one does not give travel." in error.message
    assert why in error.message


@pytest.mark.parametrize(
    "pointer",
    [
        lambda trip, room, said: trip["cty"],
        lambda trip, room, said: trip["city"]["name"],
        lambda trip, room, said: trip["guests"]["first"],
        lambda trip, room, said: trip["guests"][0]["nme"],
        lambda trip, room, said: room.result["reff"],
        lambda trip, room, said: room.result["rooms"][0]["x"],
        lambda trip, room, said: room.result["held_until"]["x"],
    ],
)
def test_a_place_that_cannot_be_is_refused(pointer: Callable[..., Value[Any]]) -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        room, said = Step("room", book, ROOM), Step("said", note)
        return Plan([room, said, Step("last", "a.b", {"x": pointer(trip, room, said)})])

    assert "where nothing can stand" in refused(stating).message

    def in_result(trip: PlanInput[Trip]) -> Plan:
        room, said = Step("room", book, ROOM), Step("said", note)
        return Plan([room, said], result=pointer(trip, room, said))

    assert "the result refers to" in refused(in_result).message

    def in_condition(trip: PlanInput[Trip]) -> Plan:
        room, said = Step("room", book, ROOM), Step("said", note)
        return Plan([room, said, Step("last", "a.b", when=pointer(trip, room, said).is_(1))])

    assert "step last refers to" in refused(in_condition).message


def test_a_place_that_may_be_is_taken() -> None:
    def stating(trip: PlanInput[Trip]) -> Plan:
        room, said = Step("room", book, ROOM), Step("said", note)
        number, other = Step("number", count), Step("other", "a.b")
        places: Mapping[str, Value[Any]] = {
            "a": trip["guests"][0]["age"],
            "b": trip["tags"]["anything"],
            "c": room.result["rooms"][9],
            "d": room.result["heldUntil"],
            "e": room.result["held_until"],
            "f": said.result["whatever"][1],
            "g": number.result["whatever"],
            "h": other.result["whatever"],
        }
        return Plan([room, said, number, other, Step("last", "a.b", places)])

    assert declared(stating).steps[-1].needs == ("number", "other", "room", "said")


# -- the function, and where it may stand ----------------------------------------------------------


async def asynchronous(trip: PlanInput[Trip]) -> Plan:
    raise AssertionError


def untyped(trip):  # type: ignore[no-untyped-def]
    raise AssertionError


def no_input(trip: Trip) -> Plan:
    raise AssertionError


def no_model(trip: PlanInput[dict[str, str]]) -> Plan:  # type: ignore[type-var]
    raise AssertionError


def two(trip: PlanInput[Trip], more: int) -> Plan:
    raise AssertionError


@pytest.mark.parametrize("function", [asynchronous, untyped, no_input, no_model, two, "text"])
def test_a_plan_is_stated_by_a_plain_function_of_its_payload(function: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        Realm("solution").plan("solution.book_trip")(function)
    assert "def plan(payload: PlanInput[YourModel]) -> Plan" in caught.value.cure


def test_a_recovery_is_one_of_three() -> None:
    error = refused(alone("a.b"), recovery="undo")
    assert "recovery='undo'" in error.message
    assert "compensate, retry_forward, hold_for_operator" in error.cure
    assert "unknown" not in error.cure
    with pytest.raises(DeclarationError, match="deadline"):
        Realm("solution").plan("solution.book_trip", deadline="soon")


@pytest.mark.parametrize("name", ["air.book_trip", "solution", "solution.Book", "runtime.plan"])
def test_a_plan_is_of_its_realm_or_of_all(name: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Realm("travel").plan(name)(lambda_plan)
    assert caught.value.code == "bad_intent_type"
    assert "travel.<action> or cross_realm.<action>" in caught.value.cure
    assert Realm("travel").plan("cross_realm.book_trip")(lambda_plan).realm == "travel"
    assert Realm("travel").plan("travel.book_trip")(lambda_plan).realm == "travel"


def test_an_intent_type_has_one_handler_or_one_plan() -> None:
    realm = Realm("travel")
    realm.plan("travel.book")(lambda_plan)
    with pytest.raises(DeclarationError, match="answered by lambda_plan already"):
        realm.plan("travel.book")(lambda_plan)
    with pytest.raises(DeclarationError, match="answered by lambda_plan already"):
        realm.intent("travel.book")(book.function)
    assert (len(realm), len(realm.plans)) == (0, 1)
    assert repr(realm) == "Realm('travel', 0 handlers, 1 plans)"


# -- registration ---------------------------------------------------------------------------------


def known() -> dict[str, Capability]:
    """What the realm travel registers."""
    return {one.name: one for one in capabilities(travel, 3, REGISTRATION)}


def planning(*steps: Step[Any]) -> Realm:
    """A realm with one plan."""
    realm = Realm("solution")

    @realm.plan("solution.book_trip")
    def book_trip(trip: PlanInput[Trip]) -> Plan:
        return Plan(steps)

    return realm


def test_steps_that_are_only_named_are_checked_where_a_worker_starts() -> None:
    check_plans(planning(Step("a", "travel.book", ROOM), Step("b", "travel.note")), known())
    with pytest.raises(DeclarationError) as caught:
        check_plans(planning(Step("a", "travel.book", {"city": "Rome"})), known())
    assert "Step a (travel.book): the input lacks the required nights" in caught.value.message


def test_a_step_that_turns_out_to_be_a_plan_is_refused() -> None:
    inner = {"travel.book": msgspec.structs.replace(known()["travel.book"], plan=THE_PLAN)}
    with pytest.raises(DeclarationError, match=r"step a is travel\.book, which is a plan"):
        check_plans(planning(Step("a", "travel.book", ROOM)), inner)


THE_PLAN = (PlannedStep(step="a", intent_type="b.c", needs=(), input=b"", condition=b""),)


def test_a_step_that_nobody_has_registered_yet_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        check_plans(planning(Step("a", "travel.book", ROOM), Step("b", "air.book")), known())
    (told,) = [one.getMessage() for one in caplog.records]
    assert told.startswith("step b of plan solution.book_trip needs air.book")


def test_a_plan_that_another_realm_had_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    ours = {one.name: one for one in capabilities(planning(Step("a", "b.c")), 1, REGISTRATION)}
    theirs = {n: msgspec.structs.replace(one, realm="travel") for n, one in ours.items()}
    with caplog.at_level(logging.WARNING):
        tell_of_moves(ours, ours)
        assert caplog.records == []
        tell_of_moves(ours, theirs)
    assert "was registered by realm travel until now" in caplog.records[0].getMessage()


def test_a_worker_may_have_plans_only() -> None:
    assert Worker([planning(Step("a", "b.c"))], TransportSettings()) is not None
