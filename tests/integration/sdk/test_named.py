"""Invariants of workers with a name of their own in their group, on real Kafka, as processes.

- Who is killed and comes again under it has its partitions long before its session would have
  ended; what it ran is handed back and not run again, and what comes after it runs.
- Who joins under a name that is taken takes it over; the other ends, and says why: unless the one
  that came dies.
- Who is killed in the midst of a rebalance and comes again leaves no partition to nobody.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.integration.sdk.conftest import PARTITIONS, Process, Site, until
from tests.integration.sdk.probe import SESSION_S

from symphainy.worker.group import HEARTBEAT_MS
from symphainy_schemas.records import StepReport, Task

PATIENT = "tests.integration.sdk.patient:realm"
TARGET = "tests.integration.sdk.probe:realm"
Start = Callable[..., Process]


def ready(process: Process) -> Callable[[], bool]:
    """Whether it has partitions."""
    return lambda: "took partitions" in process.log.read_text()


def is_about(task: Task, report: StepReport) -> bool:
    """Whether a report is about that task."""
    return report.execution_id == task.execution_id


async def two_of_one_name(start: Start, folder: Path) -> tuple[Process, Process]:
    """One with its partitions, and another that comes under its name."""
    older = start(TARGET, "w-1", PROBE_FOLDER=str(folder))
    await until(ready(older), "the first has its partitions")
    return older, start(TARGET, "w-1", PROBE_FOLDER=str(folder))


async def test_who_is_killed_and_comes_again_goes_on_at_once(
    site: Site, start: Start, tmp_path: Path
) -> None:
    held, after = site.task("hold"), site.task("echo")
    site.send(held)
    first = start(PATIENT, "w-1", PROBE_FOLDER=str(tmp_path))
    await site.about(held, "progress")
    first.signal(signal.SIGKILL)
    assert await first.ended() == -signal.SIGKILL
    killed = time.monotonic()
    start(PATIENT, "w-1", PROBE_FOLDER=str(tmp_path))
    back = (await site.about(held, "handed_back")).report
    again = site.task("hold", execution_id=held.execution_id, delivery=2)
    site.send(again, after)
    await site.about(after, "succeeded")
    (tmp_path / "go-on").touch()
    await site.about(again, "succeeded")
    assert time.monotonic() - killed < SESSION_S / 2
    assert (back.name, back.token) == ("redelivered_after_assignment", held.token)
    assert (tmp_path / "ran").read_text().split() == [held.execution_id] * 2
    await site.commits(3)


async def test_who_joins_under_a_name_that_is_taken_takes_it_over(
    site: Site, start: Start, tmp_path: Path
) -> None:
    older, newer = await two_of_one_name(start, tmp_path)
    assert await older.ended() == 1
    said = older.log.read_text()
    assert "Another worker has joined the group under this one's name" in said
    assert "Give every worker process a `--name` of its own" in said
    await until(ready(newer), "the second has them")
    task = site.task("echo")
    site.send(task)
    assert (await site.about(task, "succeeded")).report.worker == "w-1"


async def test_who_is_refused_for_one_that_died_joins_again(
    site: Site, start: Start, tmp_path: Path
) -> None:
    """As for one that a crashed broker remembers: nobody lives under the name."""
    older, newer = await two_of_one_name(start, tmp_path)
    await until(ready(newer), "the second has them")
    await until(lambda: "refused us" in older.log.read_text(), "the first is told")
    # Whom no heartbeat came from yet a broker waits for as for one that is to join: 5 minutes.
    beats = time.monotonic() + 2 * HEARTBEAT_MS / 1000
    await until(lambda: time.monotonic() > beats, "the second has told that it lives")
    newer.signal(signal.SIGKILL)
    task = site.task("echo")
    site.send(task)
    await site.report(partial(is_about, task), "the first goes on")
    assert "joined the group again: nobody else has our name" in older.log.read_text()


async def test_who_is_killed_in_a_rebalance_leaves_nothing_to_nobody(
    site: Site, start: Start, tmp_path: Path
) -> None:
    mortal = start("tests.integration.sdk.mortal:realm", "w-1", PROBE_FOLDER=str(tmp_path))
    await until(ready(mortal), "the first has its partitions")
    start(PATIENT, "w-2", PROBE_FOLDER=str(tmp_path))
    assert await mortal.ended() == -signal.SIGKILL
    died = time.monotonic()
    start(PATIENT, "w-1", PROBE_FOLDER=str(tmp_path))
    tasks = [site.task("echo") for _ in range(PARTITIONS)]
    for partition, task in enumerate(tasks):
        site.send(task, partition=partition)
    for task in tasks:  # whoever is given its partition only now hands it back
        await site.report(partial(is_about, task), "every partition is read")
    # Not because a session ended, and with it the membership that nothing was given to.
    assert time.monotonic() - died < SESSION_S / 2
