"""A saga drawn for a terminal.

- Steps stand by depth, beside what they need and what undoes them; those side by side as planned.
- What failed is told with its error; what is stuck with every way on, as commands to be copied.
- Times are those of the attempt, and go on while it runs.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from symphainy import Saga
from symphainy_cli.drawing import depths, draw, duration

EXECUTION = "exe-3-" + "0b" * 16
NOW = 100_000
ERROR = {
    "code": "declined",
    "message": "The card was declined.",
    "operator_action": f"Mend the cause, then: symphainy saga retry {EXECUTION} charge, or: "
    f"symphainy saga compensate {EXECUTION}",
}


def step(name: str, *needs: str, undo: dict[str, Any] | None = None, **told: Any) -> dict[str, Any]:
    """A step as the gateway shows it."""
    compensation = None if undo is None else {"step": f"compensate:{name}", **undo}
    return {
        "step": name,
        "intent_type": f"shop.{name}",
        "realm": "shop",
        "needs": needs,
        "compensation": compensation,
        **told,
    }


def saga(*steps: dict[str, Any], **members: Any) -> Saga:
    """A saga of these steps, which runs."""
    told = {
        "execution_id": EXECUTION,
        "intent_type": "shop.order",
        "session_id": "ses-3-" + "0a" * 16,
        "status": "running",
        "success": False,
        "ended": False,
        "as_of": 1,
        "started_at": NOW - 2_000,
        "steps": steps,
        **members,
    }
    return Saga.model_validate(told)


def lines(one: Saga) -> list[str]:
    """What is drawn, as plain text."""
    console = Console(file=StringIO(), width=400)
    for part in draw(one, NOW):
        console.print(part, highlight=False)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def line(one: Saga, name: str) -> str:
    """The row of a step."""
    [found] = [row for row in lines(one) if row.lstrip(" └─▸").startswith(f"{name} ")]
    return found


DIAMOND = (
    step("reserve", status="succeeded", attempt=1, started_at=10, ended_at=130),
    step("price", "reserve"),
    step("charge", "reserve"),
    step("ship", "charge", "price"),
    step("note"),
)


def test_steps_stand_by_depth_and_else_as_planned() -> None:
    one = saga(*DIAMOND)
    assert depths(one.steps) == {"reserve": 0, "price": 1, "charge": 1, "ship": 2, "note": 0}
    names = [row.lstrip(" └─▸").split(" ")[0] for row in lines(one)]
    drawn = [name for name in names if name in depths(one.steps)]
    assert drawn == ["reserve", "note", "price", "charge", "ship"]
    assert line(one, "reserve").startswith("reserve")
    assert line(one, "price").startswith("└─▸ price ← reserve ")
    assert line(one, "ship").startswith("   └─▸ ship ← charge, price ")


def test_a_heading_says_what_it_is_how_it_stands_and_for_how_long() -> None:
    assert lines(saga())[0] == f"shop.order  {EXECUTION}  running  2.0 s"
    ended = saga(status="succeeded", execution_time_ms=61_000)
    assert lines(ended)[0] == f"shop.order  {EXECUTION}  succeeded  1 min 01 s"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({}, "· not begun"),
        ({"status": "started", "attempt": 2, "started_at": NOW - 1_500}, "● started"),
        ({"status": "backing_off", "attempt": 2, "due_at": NOW + 3_200}, "↻ again in 3.2 s"),
        ({"status": "suspended", "waits": [{"name": "sleep:1"}]}, "… waiting for sleep:1"),
        ({"status": "skipped"}, "– skipped"),
        ({"status": "of_a_newer_release"}, "? of_a_newer_release"),
    ],
)
def test_a_step_shows_its_state(told: dict[str, Any], shown: str) -> None:
    assert shown in line(saga(step("charge", **told)), "charge")


def test_a_step_shows_its_tries_and_its_time_which_goes_on_while_it_runs() -> None:
    runs = step("charge", status="started", attempt=2, started_at=NOW - 1_500, worker="w-1")
    assert line(saga(runs), "charge").split() == [
        "charge",
        "●",
        "started",
        "2",
        "1.5",
        "s",
        "shop",
        "w-1",
    ]
    done = runs | {"status": "succeeded", "ended_at": NOW - 1_380}
    assert "120 ms" in line(saga(done), "charge")
    again = runs | {"status": "ready"}
    assert "1.5 s" not in line(saga(again), "charge")


@pytest.mark.parametrize(
    ("undo", "shown"),
    [
        ({"handler": "release"}, "· release"),
        ({"handler": "release", "status": "started", "attempt": 1}, "● release: started"),
        ({"handler": "release", "status": "succeeded", "attempt": 1}, "✔ release: undone"),
        (
            {"handler": "release", "status": "failed", "attempt": 3},
            "✘ release: not undone, 3 tries",
        ),
    ],
)
def test_what_undoes_a_step_stands_beside_it(undo: dict[str, Any], shown: str) -> None:
    one = saga(step("reserve", undo=undo, status="succeeded", attempt=1), step("charge"))
    assert line(one, "reserve").endswith(shown)


def test_what_was_asked_of_it_is_told() -> None:
    asked = {"by": "ann", "at": 1, "reason": "closed"}
    told = lines(saga(paused=asked, compensation={"by": "bob", "at": 2}))
    assert "paused, by ann: closed" in told
    assert "to be undone, by bob" in told


HELD = saga(
    step("reserve", status="succeeded", attempt=1, undo={"handler": "release"}),
    step("charge", "reserve", status="failed", attempt=3, error=ERROR),
    step("print", "reserve", status="failed", attempt=1, error={"code": "jam", "message": "Jam."}),
    status="stuck",
    error=ERROR,
)


def test_what_is_stuck_says_every_way_on() -> None:
    told = lines(HELD)
    assert "charge: declined: The card was declined." in told
    assert "print: jam: Jam." in told
    assert f"stuck: {ERROR['operator_action']}" in told
    assert f"  also failed: symphainy saga retry {EXECUTION} print" in told
    assert f"  to give it up: symphainy cancel {EXECUTION}  (undoes what was done, too)" in told
    assert not any(f"also failed: symphainy saga retry {EXECUTION} charge" in row for row in told)


def test_what_is_stuck_while_it_is_undone_names_only_what_undoes() -> None:
    refused = {
        "handler": "refund",
        "status": "failed",
        "attempt": 3,
        "error": {"code": "bank_closed", "message": "Closed."},
    }
    one = saga(
        step("charge", status="succeeded", attempt=1, undo=refused),
        step("ship", "charge", status="failed", attempt=1, error=ERROR),
        status="stuck",
        error={"code": "bank_closed", "message": "Closed.", "operator_action": ""},
    )
    told = lines(one)
    assert "compensate:charge: bank_closed: Closed." in told
    assert f"  also failed: symphainy saga retry {EXECUTION} compensate:charge" in told
    assert not any(f"retry {EXECUTION} ship" in row for row in told)
    assert f"  to give it up: symphainy cancel {EXECUTION}" in told


def test_an_error_that_is_no_steps_is_told_too() -> None:
    late = {"code": "deadline_exceeded", "message": "Too late."}
    assert "shop.order: deadline_exceeded: Too late." in lines(saga(status="failed", error=late))


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_900, "59.9 s"),
        (184_000, "3 min 04 s"),
        (7_500_000, "2 h 05 min"),
    ],
)
def test_a_time_is_said_as_people_do(ms: int, said: str) -> None:
    assert duration(ms) == said


# -- steps that are run for each element of a list -------------------------------------------------


def many(*statuses: str, undone: str = "") -> Saga:
    """A saga whose second step is run for each of some elements."""
    undo: dict[str, Any] = {"handler": "refund"}
    elements = [
        step(
            f"charge[{number}]",
            "reserve",
            status=status,
            attempt=1,
            element_of="charge",
            undo=undo | ({"status": undone} if undone and status == "succeeded" else {}),
            error={"code": "declined", "message": "No."} if status == "failed" else None,
        )
        for number, status in enumerate(statuses)
    ]
    whole = step("charge", "reserve", for_each=[], status="failed", undo=undo)
    after = step("ship", "charge")
    return saga(step("reserve", status="succeeded"), whole, *elements, after, status="stuck")


def test_many_elements_are_counted_and_few_are_listed() -> None:
    row = line(many(*["succeeded"] * 7, "started", "started", "failed"), "charge[0..9]")
    assert row.startswith("└─▸ charge[0..9] ← reserve  7 succeeded, 2 started, 1 failed ")
    few = many("succeeded", "failed")
    assert "1 succeeded, 1 failed" in line(few, "charge[0..1]")
    assert line(few, "charge[1]").split("✘")[1].startswith(" failed")
    undone = many(*["succeeded"] * 6, undone="succeeded")
    assert "6 undone" in line(undone, "charge[0..5]")
    assert line(undone, "ship").startswith("   └─▸ ship ← charge ")


def test_all_elements_are_listed_where_that_is_wanted() -> None:
    console = Console(file=StringIO(), width=400)
    for part in draw(many(*["succeeded"] * 12), NOW, every=True):
        console.print(part, highlight=False)
    assert isinstance(console.file, StringIO)
    assert sum("charge[" in row for row in console.file.getvalue().splitlines()) == 13


def test_each_failed_element_is_named_by_a_way_on_unless_they_are_too_many() -> None:
    told = lines(many("succeeded", "failed", "failed"))
    assert "charge[1]: declined: No." in told
    assert f"  also failed: symphainy saga retry {EXECUTION} charge[2]" in told
    assert not any(row.endswith(" charge") for row in told if "retry" in row)
    assert "… and 10 more: --all" in lines(many(*["failed"] * 20))
