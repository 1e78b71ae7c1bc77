"""`symphainy-sim`: run seeds, tell what does not hold, and make it small."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from symphainy_simulation.drawing import plan_of
from symphainy_simulation.plan import Token
from symphainy_simulation.plants import PLANTS, planted
from symphainy_simulation.run import Outcome, simulate
from symphainy_simulation.shrink import Shrinking

SEEDS_A_PLANT = 3_000


@dataclass(frozen=True)
class Found:
    """A run that broke a guarantee."""

    token: str
    violations: tuple[str, ...]
    guarantees: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 if all held, 1 if something did not, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    if options.list_plants:
        for plant in PLANTS.values():
            print(f"{plant.name:32} rule {plant.rule:>3}  {plant.sentence}")
        return 0
    if options.plants:
        return _table(options)
    if options.seed is not None:
        return _one(options)
    return _many(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symphainy-sim",
        description="Simulate the whole system from seeds and check its guarantees.",
    )
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=Token.read, help="one seed or token, with its whole story")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="run with a bug planted")
    parser.add_argument("--list-plants", action="store_true", help="the bugs there are to plant")
    parser.add_argument("--plants", action="store_true", help="after how many seeds each is found")
    parser.add_argument(
        "--shrink",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="make the first failing run small",
    )
    return parser


def _run(token: Token, plant: str | None, *, tell_all: bool = False) -> Outcome:
    with planted(PLANTS[plant] if plant else None):
        return simulate(plan_of(token), tell_all=tell_all)


def _look(seed: int, plant: str | None) -> Found | None:
    """Run one seed in a process of its own."""
    return _found(Token(seed), _run(Token(seed), plant))


def _found(token: Token, outcome: Outcome) -> Found | None:
    if not outcome.violations:
        return None
    return Found(
        str(token),
        tuple(map(str, outcome.violations)),
        tuple(sorted({v.guarantee for v in outcome.violations})),
    )


# --- many seeds ---------------------------------------------------------------------------------


def _many(options: argparse.Namespace) -> int:
    began = time.monotonic()
    found = []
    seeds = range(options.first, options.first + options.seeds)
    for done, one in enumerate(_looked(seeds, options), 1):
        if one is not None:
            found.append(one)
        _progress(done, options.seeds, len(found), began)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps(_summary(options, found, seconds)))
    else:
        print(f"{options.seeds} seeds in {seconds:.0f} s: {len(found)} broke a guarantee")
        for one in found[:20]:
            print(f"  seed {one.token}: {one.violations[0]}")
    if found and not options.json:
        _tell(Token.read(found[0].token), options)
    return 1 if found else 0


def _looked(seeds: range, options: argparse.Namespace) -> Iterator[Found | None]:
    look = partial(_look, plant=options.plant)
    if options.jobs <= 1:
        yield from map(look, seeds)
        return
    with multiprocessing.Pool(options.jobs) as pool:
        yield from pool.imap(look, seeds, chunksize=4)


def _progress(done: int, of: int, found: int, began: float) -> None:
    if sys.stderr.isatty() and (done % 20 == 0 or done == of):
        rate = done / max(0.001, time.monotonic() - began)
        width = 30 * done // of
        bar = "#" * width + "." * (30 - width)
        end = "\n" if done == of else ""
        print(
            f"\r[{bar}] {done}/{of}  {rate:.0f}/s  {found} found",
            end=end,
            file=sys.stderr,
            flush=True,
        )


def _summary(options: argparse.Namespace, found: Sequence[Found], seconds: float) -> dict[str, Any]:
    return {
        "seeds": options.seeds,
        "from": options.first,
        "plant": options.plant,
        "seconds": round(seconds, 1),
        "found": [{"seed": one.token, "violations": one.violations} for one in found],
    }


# --- one seed -----------------------------------------------------------------------------------


def _one(options: argparse.Namespace) -> int:
    outcome = _run(options.seed, options.plant, tell_all=True)
    if options.json:
        told = {"seed": str(options.seed), "trace": outcome.trace, "story": outcome.story}
        print(json.dumps(told | {"violations": list(map(str, outcome.violations))}))
    else:
        _print(options.seed, outcome)
    return 1 if outcome.violations else 0


def _tell(token: Token, options: argparse.Namespace) -> None:
    """The story of a failing run, made small, and how to see it again."""
    if options.shrink:
        wanted = set(_guarantees(_run(token, options.plant)))

        def fails(smaller: Token) -> bool:
            return bool(wanted & set(_guarantees(_run(smaller, options.plant))))

        token = Shrinking(fails).shrink(token)
    print()
    _print(token, _run(token, options.plant))
    plant = f" --plant {options.plant}" if options.plant else ""
    print(f"\nAgain: symphainy-sim --seed {token}{plant}")


def _guarantees(outcome: Outcome) -> list[str]:
    return [violation.guarantee for violation in outcome.violations]


def _print(token: Token, outcome: Outcome) -> None:
    plan = plan_of(token)
    print(f"Seed {token}: {len(plan.stated)} things stated, {len(plan.faults)} faults")
    print(f"  {plan.scenario}")
    for line in outcome.story:
        print(line)
    print(f"{outcome.virtual_s:9.3f} s  the end; trace {outcome.trace}")
    for violation in outcome.violations[:20]:
        print(f"  broken: {violation}")


# --- the table of planted bugs ------------------------------------------------------------------


def _table(options: argparse.Namespace) -> int:
    most = max(options.seeds, SEEDS_A_PLANT)
    search = partial(_search, first=options.first, most=most)
    rows = []
    with multiprocessing.Pool(options.jobs) as pool:
        for name, seeds, guarantees in pool.imap(search, PLANTS):
            rows.append({"plant": name, "seeds": seeds, "guarantees": guarantees})
            if not options.json:
                after = f"after {seeds:4} seeds" if seeds else f"NOT within {most} seeds"
                told = ", ".join(guarantees)
                print(f"{name:32} rule {PLANTS[name].rule:>3}  {after}  {told}", flush=True)
    if options.json:
        print(json.dumps(rows))
    return 0 if all(row["seeds"] for row in rows) else 1


def _search(plant: str, first: int, most: int) -> tuple[str, int, tuple[str, ...]]:
    for seed in range(first, first + most):
        found = _look(seed, plant)
        if found is not None:
            return plant, seed - first + 1, found.guarantees
    return plant, 0, ()


if __name__ == "__main__":
    sys.exit(main())
