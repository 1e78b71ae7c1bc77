"""A soak: rounds of chaos under load, each healed, quieted and judged, on one cluster.

`python -m tests.chaos.soak --minutes 30` prints the seed, a line of progress every 10 s, and what
was found; it exits with 1 if a guarantee does not hold.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.cluster import ChaosCluster, Size
from tests.chaos.crew import Crew, Options
from tests.chaos.monkey import Harm
from tests.chaos.report import Report, summary
from tests.chaos.verdict import Verdict

from symphainy_schemas.errors import Unavailable
from symphainy_simulation.checking.reading import ClusterReader, Marks
from symphainy_transport.clock import SystemClock

PROGRESS_S = 10.0
_LOOK_S = 1.0


class Soak:
    """One run, from start to stop."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self.report = Report(options.seed)
        self.cluster = ChaosCluster(folder, options.size, self.say)

    def say(self, text: str) -> None:
        """Print a line, with the time since the start."""
        print(f"{self._clock.monotonic() - self._began:7.1f} s  {text}", flush=True)

    def run(self) -> Report:
        """Rounds until the time is over; what was found."""
        options = self._options
        self.say(f"seed {options.seed}: starting {options.size}")
        try:
            self.cluster.start()
            self._rounds()
        finally:
            self.cluster.stop()
        return self.report

    def _rounds(self) -> None:
        options, settings = self._options, self.cluster.outsider
        # Who reads while the broker dies must not outlive the check: two readers, two threads.
        with ClusterReader(settings) as reading, ClusterReader(settings, "follower") as following:
            crew = Crew(self.cluster, options, reading, following, self.say)
            until = self._clock.monotonic() + options.minutes * 60
            try:
                while self.report.good and self._clock.monotonic() < until:
                    left = until - self._clock.monotonic()
                    self._round(crew, min(options.round_s, left))
            finally:
                crew.dismiss()
                self.report.faults = crew.monkey.counts
                self.report.load = crew.load.counts + crew.vandal.counts
                self.report.deaths = self.cluster.deaths.count

    def _round(self, crew: Crew, length_s: float) -> None:
        number = self.report.rounds = self.report.rounds + 1
        self.say(f"round {number}: chaos for {length_s:.0f} s")
        crew.begin()
        self._watch(crew, length_s)
        self.say("healing")
        acknowledged = crew.heal()
        if crew.monkey.failure is not None:
            self.report.broken.append(str(crew.monkey.failure))
            return
        ends, unrest = self._quiet(crew)
        if unrest:
            self.report.broken.append(f"never became quiet: {unrest}")
            return
        began = self._clock.monotonic()
        verdict = crew.judge.judge(ends, acknowledged, crew.starts.news(), crew.gateways)
        self._merge(verdict, self._clock.monotonic() - began)

    def _watch(self, crew: Crew, length_s: float) -> None:
        """Until the time is over; on a slow machine, until enough was broken."""
        until = self._clock.monotonic() + length_s
        while crew.monkey.failure is None:
            left = until - self._clock.monotonic()
            enough = sum(crew.monkey.counts.values()) >= self._options.least_faults
            if left <= 0 and (enough or left < -3 * length_s):
                return
            crew.pause.wait(min(PROGRESS_S, max(left, _LOOK_S)))
            self.say(crew.progress())

    def _quiet(self, crew: Crew) -> tuple[Marks, str]:
        """Wait until all is quiet; the ends of all topics, and what is not quiet."""
        until = self._clock.monotonic() + self._options.quiet_within_s
        told = self._clock.monotonic()
        before: Marks = {}
        ends: Marks
        while True:
            try:
                ends = crew.follower.follow()
                unrest = crew.follower.unrest(ends)
            except Unavailable as error:  # the broker was killed a moment ago
                ends, unrest = before, str(error)
            if not unrest and ends == before:
                self.say("quiet")
                return ends, ""
            now = self._clock.monotonic()
            if now > until:
                return ends, unrest or "topics still grow"
            if now - told >= PROGRESS_S:
                told = now
                self.say(f"not quiet: {unrest or 'topics still grow'}")
            before = ends
            crew.pause.wait(_LOOK_S)

    def _merge(self, verdict: Verdict, took_s: float) -> None:
        whole = self.report.verdict
        whole.violations += verdict.violations
        whole.unlike += verdict.unlike
        whole.lateness_ms += verdict.lateness_ms
        whole.counts.update(verdict.counts)
        counts = ", ".join(f"{n} {name}" for name, n in sorted(verdict.counts.items()))
        self.say(f"judged in {took_s:.1f} s: {counts}")
        for one in verdict.violations[:20]:
            self.say(f"  VIOLATION {one}")
        for sentence in verdict.unlike[:20]:
            self.say(f"  READ MODEL {sentence}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak; 1 if a guarantee does not hold."""
    told = _arguments().parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker's absence is no news
    seed = told.seed if told.seed is not None else secrets.randbelow(2**31)
    folder = told.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    options = Options(
        minutes=told.minutes,
        round_s=told.round,
        rate=told.rate,
        seed=seed,
        size=Size(told.owners, told.workers, told.window),
        harm=Harm(tuple(told.fault), tuple(told.rest)),
        kinds=tuple(told.kind),
    )
    report = Soak(options, folder).run()
    line = json.dumps(report.document())
    results = told.results or folder / "soak.jsonl"
    with results.open("a") as file:
        file.write(line + "\n")
    summary(report)
    if report.good and told.folder is None:
        shutil.rmtree(folder)
    else:
        print(f"logs and data are in {folder}; results in {results}")
    return 0 if report.good else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--round", type=float, default=180.0, help="seconds of chaos in a round")
    parser.add_argument("--rate", type=float, default=150.0, help="intents a second")
    parser.add_argument("--seed", type=int, help="of the faults and the load; random by default")
    parser.add_argument("--owners", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--window", type=float, default=120.0, help="dedupe window, seconds")
    parser.add_argument("--fault", action="append", default=[], help="only this one, and others so")
    parser.add_argument("--kind", action="append", default=[], help="only intents of this type")
    parser.add_argument(
        "--rest", type=float, nargs=2, default=Harm.pause_s, help="seconds between two faults"
    )
    parser.add_argument("--folder", type=Path, help="keep all data here")
    parser.add_argument("--results", type=Path, help="file to which one JSON line is added")
    return parser


if __name__ == "__main__":
    sys.exit(main())
