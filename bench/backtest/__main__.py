"""`python -m bench.backtest`: how quick `symphainy policy backtest` is over a long history.

Records intents with their decisions into a real Kafka (bench.backtest.recording), then runs the
verb as a user does, in its own process, and shows what it found. In its time: the start of Python,
reading from Kafka, and everything between. A candidate of 200 policies asks for roles, payloads and
sessions, and forbids some. CPU is of all processes of the verb, the client's threads included; the
broker's is apart. On cores that others use, quote CPU an intent, and what two cores make of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from bench.backtest.recording import Wish, record
from bench.owner.figures import Figure, Report, circumstances, table
from bench.policy import policies
from bench.stack import TENANT, Stack
from symphainy_runtime.policy.reading import texts

RESULTS = Path(__file__).parents[1] / "results" / "backtest.json"
PARTITIONS, PROCESSES = 8, 2
AIM_RATE = 20_000
SOME = (
    '@id("some") forbid(principal, action == Action::"bench.one_3", resource) when '
    '{ context has session && context.session.principal == "p0" && '
    "context has payload && context.payload has customer && "
    'context.payload.customer == "customer-040" };'
)
console = Console(width=140)


class Backtest(NamedTuple):
    """What one run of the verb told, and what it took."""

    told: dict[str, Any]
    seconds: float
    cpu_s: float


def backtest(stack: Stack) -> Backtest:
    """Run the verb over everything that is recorded."""
    with tempfile.TemporaryDirectory(prefix="bench-candidate-") as folder:
        for stage, text in texts(policies(200, SOME)).items():
            (Path(folder) / f"{stage}.cedar").write_text(text)
        verb = ["policy", "backtest", folder, "--tenant", TENANT, "--json"]
        argv = [sys.executable, "-m", "symphainy_cli", *verb, "--processes", str(PROCESSES)]
        before, began = _children_cpu(), time.monotonic()
        done = subprocess.run(
            argv, env=os.environ | stack.environment(), stdout=subprocess.PIPE, check=True
        )
        return Backtest(json.loads(done.stdout), time.monotonic() - began, _children_cpu() - before)


def _children_cpu() -> float:
    """CPU seconds of all processes that this one, or one of those, has waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def report(records: int, recorded_s: float, found: Backtest, broker_s: float) -> Report:
    """The figures."""
    told = found.told
    looked_at = told["looked_at"]
    assert told["undetermined"] == 0
    assert told["changed"]
    assert told["changed"] + told["unchanged"] == looked_at
    each_us = found.cpu_s / looked_at * 1e6
    return Report(
        [
            Figure(
                f"backtest, {PROCESSES} processes, as the verb tells",
                told["intents_per_second"],
                "intents/s",
                at_least=AIM_RATE,
            ),
            Figure(
                "whole command, with its start",
                round(looked_at / found.seconds),
                "intents/s",
            ),
            Figure("CPU an intent, all processes", round(each_us, 1), "µs CPU"),
            Figure(
                f"what {PROCESSES} cores of their own would make of that",
                round(PROCESSES * 1e6 / each_us),
                "intents/s",
                beside=told["intents_per_second"],
                beside_what="as it was",
            ),
            Figure("the broker's CPU an intent", round(broker_s / looked_at * 1e6, 1), "µs CPU"),
        ],
        {
            "intents": looked_at,
            "records": records,
            "recorded_in_s": round(recorded_s, 1),
            "told": {**told, "groups": told["groups"][:5]},
            "command_s": round(found.seconds, 2),
            "command_cpu_s": round(found.cpu_s, 2),
        },
    )


def main() -> None:
    """Record, run the verb, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.backtest", description=__doc__)
    parser.add_argument("--intents", type=int, default=1_000_000)
    parser.add_argument(
        "--numbers",
        type=int,
        default=1_000,
        help="how many values the number in payloads takes, for which half of the policies ask: "
        "what is asked anew is remembered",
    )
    parser.add_argument(
        "--copies", type=int, default=4, help=f"of each recording, in {PARTITIONS} partitions"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    told = parser.parse_args()
    with Stack(partitions=PARTITIONS) as stack:
        began = time.monotonic()
        with console.status("recording"):
            wish = Wish(stack.settings, TENANT, told.intents, told.numbers, told.copies)
            records = record(wish, PROCESSES)
        recorded_s = time.monotonic() - began
        console.print(f"{told.intents:,} intents recorded in {recorded_s:.0f} s")
        load, broker = os.getloadavg()[0], stack.cpu("kafka")["kafka"]
        found = backtest(stack)
        spent = stack.cpu("kafka")["kafka"] - broker
        after = os.getloadavg()[0]
    made = report(records, recorded_s, found, spent)
    console.print(table("A policy backtest", made))
    console.print(f"the machine's load: {load:.1f} before, {after:.1f} after")
    console.print_json(json.dumps(made.details["told"]), indent=1)
    kept = {
        **circumstances(load),
        "load_after": round(after, 2),
        **made.as_json(),
    }
    told.out.parent.mkdir(parents=True, exist_ok=True)
    told.out.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    console.print(f"kept in {told.out}")


if __name__ == "__main__":
    main()
