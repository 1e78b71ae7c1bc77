"""Plans that executions follow in a simulated run, and the handlers that their steps name.

Every plan starts from handlers that can be undone (`act`, `once`, `lock`, `beat`) and some that
cannot (`look`). What a step does stands in the intent's payload, under the step's name; its input
is put together from there and from what the steps that it needs have returned.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from symphainy_schemas import templates
from symphainy_schemas.records import Capability, PlannedStep, Policy, Recovery
from symphainy_simulation.plan import Scenario

DEADLINE_MS = 900
HEARTBEAT_MS = 90
ENTRIES = ("act", "once", "look", "lock", "beat", "single")
Condition = tuple[str, str, tuple[object, ...]]
Drawn = tuple[str, str, tuple[str, ...], Condition | None]
PLANS: dict[str, tuple[Drawn, ...]] = {
    "chain": (
        ("a", "act", (), None),
        ("b", "lock", ("a",), None),
        ("c", "once", ("b",), None),
    ),
    "diamond": (
        ("a", "act", (), None),
        ("b", "once", ("a",), None),
        ("c", "look", ("a",), None),
        ("d", "act", ("b", "c"), None),
    ),
    "branch": (
        ("a", "act", (), None),
        ("b", "act", ("a",), ("a", "/attempt", (1,))),
        ("c", "once", ("a",), (templates.PAYLOAD, "/key", ("x",))),
        ("d", "look", ("c",), None),
        ("e", "lock", ("b", "c"), None),
    ),
    "held": (
        ("a", "act", (), None),
        ("b", "once", (), None),
        ("c", "lock", ("a", "b"), None),
    ),
    "forward": (
        ("a", "act", (), None),
        ("b", "once", ("a",), None),
        ("c", "look", ("a",), None),
    ),
    "haste": (
        ("a", "act", (), None),
        ("b", "beat", ("a",), None),
        ("c", "act", ("a",), None),
    ),
    "many": (
        ("a", "act", (), None),
        ("b", "act", ("a",), None),
        ("c", "once", ("b",), None),
        ("d", "act", ("c", "b"), None),
    ),
    "many_held": (
        ("a", "look", (), None),
        ("b", "once", (), None),
        ("d", "lock", ("a", "b"), None),
    ),
}
RECOVERIES = {
    "held": Recovery.HOLD_FOR_OPERATOR,
    "many_held": Recovery.HOLD_FOR_OPERATOR,
    "forward": Recovery.RETRY_FORWARD,
}
# Steps that are run for each element of a list, where that stands, and how many of them at once.
FOR_EACH: dict[tuple[str, str], tuple[str, str, int]] = {
    ("many", "b"): (templates.PAYLOAD, "/many", 0),
    ("many", "c"): ("b", "", 0),
    ("many_held", "b"): (templates.PAYLOAD, "/many", 2),
}


def steps_of(name: str) -> tuple[str, ...]:
    """The steps of what is called so, in order; of a handler that can be undone, its only one."""
    return tuple(step for step, *_ in PLANS[name]) if name in PLANS else ("main",)


def planned(realm: str, name: str, plain: Capability, scenario: Scenario) -> Capability:
    """A capability with a plan. Every second step is another realm's, if there is one."""
    other = {"work": "side", "side": "work"}[realm]
    realms = (realm, other) if scenario.realms > 1 else (realm, realm)
    return replace(
        plain,
        handler="",
        plan=tuple(_step(name, one, realms[at % 2]) for at, one in enumerate(PLANS[name])),
        recovery=RECOVERIES.get(name, Recovery.COMPENSATE),
        deadline_ms=DEADLINE_MS if name == "haste" else 0,
    )


def undoable(name: str, plain: Capability, scenario: Scenario) -> Capability:
    """A handler that a plan's step names; all but one of them can be undone."""
    own = Policy(
        timeout_ms=scenario.timeout_ms - 30,
        heartbeat_ms=0,
        attempts=scenario.attempts + 1,
        backoff_ms=10,
        backoff_factor=3.0,
        backoff_max_ms=60,
    )
    return replace(
        plain,
        attempts=1 if name == "once" else scenario.attempts,
        compensation="" if name == "look" else f"un{name}",
        compensation_policy=None if name in ("once", "look") else own,
        concurrency_key="/key" if name == "lock" else "",
        key_concurrency=scenario.key_limit if name == "lock" else 0,
        heartbeat_ms=HEARTBEAT_MS if name == "beat" else 0,
    )


def _step(plan: str, drawn: Drawn, realm: str) -> PlannedStep:
    step, entry, needs, condition = drawn
    payload = templates.PAYLOAD
    many = {name for at, name in FOR_EACH if at == plan}
    given = {x: templates.reference(x, "" if x in many else "/attempt") for x in needs}
    # What is locked is what the first need returned: another value than in the payload.
    key = templates.reference(needs[0], "/lock") if needs else templates.reference(payload, "/key")
    stated = {
        "n": templates.reference(payload, "/n"),
        "key": key,
        "lines": templates.reference(payload, f"/steps/{step}/lines"),
        "undo": templates.reference(payload, f"/steps/{step}/undo"),
        "given": given,
    }
    source, at, at_most = FOR_EACH.get((plan, step), ("", "", 0))
    if source:
        stated["n"] = templates.reference(templates.ELEMENT, "/n")
    if source == payload:
        stated["lines"] = templates.reference(templates.ELEMENT, "/lines")
        stated["undo"] = templates.reference(templates.ELEMENT, "/undo")
    holds = b""
    if condition is not None:
        asked, where, among = condition
        holds = msgspec.json.encode({**templates.reference(asked, where), templates.IN: among})
    return PlannedStep(
        step=step,
        intent_type=f"{realm}.{entry}",
        needs=needs,
        input=msgspec.json.encode(stated),
        condition=holds,
        for_each=msgspec.json.encode(templates.reference(source, at)) if source else b"",
        at_most=at_most,
    )
