"""The simulation: the real owner in a simulated world, and whether it would notice a bug.

- A run is a function of its seed: on every machine, whatever the order of hashes.
- What is left out of a plan is left out of the run, and a token names exactly the rest.
- Seeds are clean; every bug that is planted is found, and the same seed is clean without it.
- A failing run is made small, and the small one fails in the same way.
- What is planted is gone afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from symphainy_simulation import cli
from symphainy_simulation.drawing import expand, plan_of
from symphainy_simulation.plan import Token
from symphainy_simulation.plants import PLANTS, Plant, planted
from symphainy_simulation.run import Outcome, simulate
from symphainy_simulation.shrink import Shrinking

CLEAN_SEEDS = 120
# Where a plant was last found that takes longer; else it is searched for in the first seeds.
FOUND_AT = {
    "session-forgotten-in-use": 104,
    "session-forgotten-anew": 130,
    "reader-goes-on-after-gap": 44,
    "state-forgets-failed-keys": 95,
    "old-checkpoints-count": 205,
    "worker-commits-at-start": 673,
    "found-task-wakes": 237,
    "told-too-early": 368,
    "failed-goes-on": 192,
    "invoked-in-vain": 223,
    "old-child-waited-for": 648,
    "suspended-delivered-again": 190,
    "full-of-suspended": 360,
    "policies-by-number": 217,
    "replay-uses-session": 353,
}
# What no seed of a reasonable number shows: one with its faults moved, by their numbers: when, for
# how long (both ms), and whom they strike. Found among 608 variations of what once was a seed.
AIMED = {
    "worker-wakes-unasked": (
        29406,
        {
            0: (2651, 39, 2),
            1: (1780, 1298, 0),
            2: (1620, 317, 7),
            3: (1079, 4, 1),
            4: (1483, 35, 3),
            5: (2758, 451, 7),
        },
    ),
}
SEARCHED_SEEDS = 150
# What broke a guarantee once, made small: a late start after a hand-back, with nobody left to end
# it; a tenant forgotten while it was counted; a takeover, and an owner, that slept while another
# owner went on; a handler that waited, and began anew because an earlier delivery of it had failed;
# one that said that it waits after it was cancelled; a partition full of executions that rested,
# with the resumptions among the intents that it did not read; a notice taken for a later life; the
# corrected input of what undoes a step; a lock whose key comes from a result; a retry's token; a
# task that stood twice and was started after the end, for which the checker blamed the owner; a
# child's end that came when another step's time had; one that came after its step had failed, which
# was tried again; records of the last turn that retention had taken; what governs and is no JSON
# taken for poison; the platform's policies taken for a tenant's of that name as well; a delivery
# anew of a suspended tenant; a partition full of one, with the resumption among the intents that it
# did not read; an owner that ended because one partition had no policies, behind a dead letter.
ONCE_BROKEN = (
    "13449:100002:1801",
    "10376:400804:12",
    "14211:100:44e",
    "17215:80f:1c",
    "43813:5000:12",
    "15805:300001180:4000",
    "11979:200081:80",
    "346:c7c40000000000087bf1bb3761f:0",
    "22044:801000000051b:0",
    "88",
    "276",
    "451",
    "36265",
    "46663",
    "635",
    "3562",
    "2879",
    "4",
    "14",
    "154",
    "360",
    "817",
)


def run(seed: int, plant: Plant | None = None) -> Outcome:
    """One run of a seed."""
    with planted(plant):
        return simulate(plan_of(Token(seed)))


def told(outcome: Outcome) -> list[str]:
    """What does not hold, as text."""
    return [str(violation) for violation in outcome.violations]


def test_a_run_is_a_function_of_its_seed() -> None:
    first, second = run(7), run(7)
    assert first.trace == second.trace
    assert first.story == second.story
    assert run(8).trace != first.trace


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_run_does_not_depend_on_the_order_of_hashes(hash_seed: str) -> None:
    script = (
        "from symphainy_simulation.drawing import plan_of;"
        "from symphainy_simulation.plan import Token;"
        "from symphainy_simulation.run import simulate;"
        "print(*(simulate(plan_of(Token(s))).trace for s in (7, 13, 0)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    traces = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert traces == [run(seed).trace for seed in (7, 13, 0)]


def test_a_token_names_what_is_kept() -> None:
    plan = expand(13)
    token = Token(13, frozenset((0, 3, 40)), frozenset((1,)))
    assert Token.read(str(token)) == token
    assert Token.read("13") == Token(13)
    assert plan_of(Token.read(str(Token(13, None, frozenset())))).stated == plan.stated
    kept = plan_of(token)
    assert {one.number for one in kept.stated} <= {0, 3, 40}
    assert set(kept.faults) <= set(plan.faults)
    assert kept.scenario == plan.scenario
    with pytest.raises(ValueError, match="no seed"):
        Token.read("1:2")


@pytest.mark.timeout(300)
def test_seeds_are_clean() -> None:
    broken = {seed: told(run(seed))[:3] for seed in range(CLEAN_SEEDS)}
    assert {seed: sentences for seed, sentences in broken.items() if sentences} == {}


@pytest.mark.parametrize("token", ONCE_BROKEN)
def test_what_broke_once_stays_whole(token: str) -> None:
    assert told(simulate(plan_of(Token.read(token)))) == []


@pytest.mark.parametrize("name", AIMED)
def test_a_planted_bug_is_found_where_faults_are_aimed(name: str) -> None:
    seed, moved = AIMED[name]
    plan = plan_of(Token(seed))
    faults = []
    for fault in plan.faults:
        at_ms, ms, target = moved[fault.number]
        faults.append(replace(fault, at_ms=at_ms, ms=ms, target=target))
    plan = replace(plan, faults=tuple(faults))
    assert told(simulate(plan)) == [], "it is clean without the bug"
    with planted(PLANTS[name]):
        assert simulate(plan).violations


@pytest.mark.parametrize("name", [name for name in PLANTS if name not in AIMED])
def test_a_planted_bug_is_found(name: str) -> None:
    plant = PLANTS[name]
    seeds = [FOUND_AT[name]] if name in FOUND_AT else []
    for seed in [*seeds, *range(SEARCHED_SEEDS)]:
        if run(seed, plant).violations:
            assert told(run(seed)) == [], "the seed is clean without the bug"
            return
    pytest.fail(f"{plant.sentence} Not found in {SEARCHED_SEEDS} seeds.")


def test_what_is_planted_is_gone_afterwards() -> None:
    before = {
        (p.owner, p.name): p.owner.__dict__[p.name] for x in PLANTS.values() for p in x.patches
    }
    for plant in PLANTS.values():
        with planted(plant):
            assert any(p.owner.__dict__[p.name] != before[p.owner, p.name] for p in plant.patches)
    assert before == {(owner, name): owner.__dict__[name] for owner, name in before}


def test_a_failing_run_is_made_small() -> None:
    plant = PLANTS["dedupe-forgotten-at-restart"]

    def fails(token: Token) -> bool:
        with planted(plant):
            return any(v.guarantee == "G2" for v in simulate(plan_of(token)).violations)

    seed = next(seed for seed in range(SEARCHED_SEEDS) if fails(Token(seed)))
    whole = plan_of(Token(seed))
    small = Shrinking(fails, most_runs=150).shrink(Token(seed))
    plan = plan_of(small)
    assert fails(Token.read(str(small)))
    assert len(plan.stated) + len(plan.faults) < (len(whole.stated) + len(whole.faults)) / 2


def test_the_command_tells_a_violation_and_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant = ["--plant", "dedupe-forgotten-at-restart"]
    assert cli.main(["--seeds", "1", "--jobs", "1", "--no-shrink", *plant]) == 1
    printed = capsys.readouterr().out
    assert "broken: G" in printed
    assert "Again: symphainy-sim --seed 0 --plant dedupe-forgotten-at-restart" in printed
    assert cli.main(["--seed", "0", *plant]) == 1
    assert cli.main(["--seeds", "2", "--jobs", "1", "--json"]) == 0
