"""Invariants of the workload: the same for every peer, and honest about what cannot run.

- A run's payload is a function of its id, of about 300 bytes.
- The realm's handlers give each flow's answer, one for each flow that the driver offers.
- A flow that the driver does not offer has a reason, and no handler stands in for it.
- A saga is undone in reverse order, by the runtime or by its handler; what the driver tells of it
  is what the other engines' code returns, and says so if not all was undone.
- A part that can be killed is a process of its own, and a part that is none has a reason.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from bench.peers import steps
from bench.peers.apps.symphainy_app import Order, realm
from bench.peers.drivers import DEFAULT, NAMES, OURS, load
from bench.peers.drivers.symphainy import Symphainy, SymphainyFsync, SymphainyStep
from bench.peers.load import run_ids
from bench.peers.peer import Peer
from bench.peers.workload import NOTHING
from bench.peers.workloads import DEFAULT as DEFAULT_WORKLOADS
from bench.peers.workloads import WORKLOADS

from symphainy import Context, Outcome
from symphainy.testing import Harness

# A saga is a plan, which no single handler answers: it has tests of its own.
OFFERED = [flow for flow in steps.FLOWS if flow not in {*Symphainy.unsupported, "comp"}]


class Steps:
    """A context that runs every step and remembers its name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def step(self, name: str, fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        self.names.append(name)
        return await fn(*args)

    async def sleep(self, duration: object) -> None:
        """No time passes."""


@pytest.fixture(autouse=True)
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_EFFECTS", str(tmp_path / "effects"))
    monkeypatch.setattr(steps, "STEP_SLEEP_S", 0.0)
    steps._effects_file.cache_clear()
    return tmp_path / "effects"


async def run(intent_type: str) -> tuple[object, list[str]]:
    """A handler's result, and the steps that it took."""
    (handler,) = (h for h in realm if h.intent_type == intent_type)
    context = Steps()
    order = Order.model_validate(steps.payload("run-1"))
    outcome = await handler(cast(Context, context), order)
    assert isinstance(outcome, Outcome)
    return outcome.result, context.names


def test_a_payload_is_a_function_of_the_run_id() -> None:
    assert steps.payload("run-1") == steps.payload("run-1") != steps.payload("run-2")
    assert 250 <= len(json.dumps(steps.payload("one1-18f3c2a9d10-000001"))) <= 400


def test_run_ids_are_never_given_twice() -> None:
    first, second = run_ids("one"), run_ids("one")
    assert len({next(ids) for ids in (first, second) for _ in range(50)}) == 100


@pytest.mark.parametrize("flow", OFFERED)
async def test_the_realm_gives_each_flow_s_answer(flow: str) -> None:
    result, _ = await run(f"bench.{flow}")
    assert result == steps.FLOWS[flow].answer


@pytest.mark.parametrize(
    ("action", "count"), [("one", 0), ("one_inside", 1), ("saga", 3), ("comp_inside", 5)]
)
async def test_the_realm_takes_the_steps_that_it_says(action: str, count: int) -> None:
    _, names = await run(f"bench.{action}")
    assert len(set(names)) == len(names) == count


async def test_a_saga_is_undone_by_the_runtime_in_reverse_order() -> None:
    async with Harness(realm) as harness:
        run = await harness.submit("bench.comp", Order.model_validate(steps.payload("run-1")))
        assert run.status == "compensated"
        begun = [happened.data["step"] for happened in run.events_of("step_dispatched")]
        assert begun == ["step1", "step2", "step3", "compensate:step2", "compensate:step1"]


async def test_a_saga_is_undone_by_its_handler_in_reverse_order() -> None:
    result, names = await run("bench.comp_inside")
    assert result == steps.FLOWS["comp"].answer
    assert names == ["step1", "step2", "step3", "undo2", "undo1"]


@pytest.mark.parametrize(("undone", "right"), [(2, True), (1, False)])
def test_what_is_told_of_a_saga_is_what_was_undone(undone: int, right: bool) -> None:
    status = ["succeeded"] * undone + ["failed"] * (2 - undone)
    plan = [{"step": f"step{n}", "status": "succeeded"} for n in (1, 2)]
    undoing = [{"step": f"compensate:step{n}", "status": status[n - 1]} for n in (1, 2)]
    document = {"status": "compensated", "success": False, "steps": [*plan, *undoing]}
    assert (Symphainy.answer_of(document) == steps.FLOWS["comp"].answer) is right


def test_slow_steps_leave_their_effects(effects: Path) -> None:
    _, names = asyncio.run(run("bench.slow"))
    lines = [line.split()[:2] for line in effects.read_text().splitlines()]
    assert lines == [["run-1", what] for what in ("1", "2", "3", "done")]
    assert len(names) == 3


def test_an_unsupported_flow_has_a_reason_and_no_handler() -> None:
    declared = {handler.intent_type for handler in realm}
    for flow, reason in Symphainy.unsupported.items():
        assert flow in steps.FLOWS
        assert reason
        assert f"bench.{flow}" not in declared


def test_our_variants_differ_in_nothing_but_what_their_names_say(tmp_path: Path) -> None:
    for variant in (SymphainyFsync, SymphainyStep):
        assert variant.roles == Symphainy.roles
        assert variant.unsupported == Symphainy.unsupported
    assert SymphainyFsync.topic_settings == ("flush.messages=1",)
    assert SymphainyStep.intents == {"one": "bench.one_inside", "comp": "bench.comp_inside"}


def test_ours_are_known_peers_and_every_workload_has_a_known_flow() -> None:
    assert {*OURS, *DEFAULT} <= set(NAMES)
    assert [load(name).name for name in OURS] == list(OURS)
    assert {workload.flow for workload in WORKLOADS.values()} <= set(steps.FLOWS)
    assert set(DEFAULT_WORKLOADS) <= set(WORKLOADS)


@pytest.mark.parametrize("name", OURS)
def test_each_part_is_a_process_of_its_own_or_has_a_reason(name: str) -> None:
    _parts_are_told(load(name))


def _parts_are_told(peer: type[Peer]) -> None:
    roles = list(peer.parts.values())
    assert set(roles) <= set(peer.roles)
    assert len(set(roles)) == len(roles)
    assert not peer.parts.keys() & peer.whole.keys()
    assert {"engine", "worker", "store"} <= peer.parts.keys() | peer.whole.keys()
    assert NOTHING not in peer.parts
