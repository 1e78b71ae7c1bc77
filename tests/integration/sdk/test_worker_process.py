"""A worker as a process that is killed, stopped or misled.

- kill -9 while a handler runs: the next worker hands the delivery back and does not run it.
- SIGTERM: running handlers end and report, what is done is committed, the exit code is 0.
- A handler that hangs in a thread does not keep a stopped worker alive.
- The example realm ingests its documents, and what it stored can be read by its references.
- What cannot be started says why, with an exit code of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.sdk.conftest import Process, Site, until

from symphainy_transport.artifacts import ArtifactStore

TARGET = "tests.integration.sdk.probe:realm"
Start = Callable[..., Process]


def ran(folder: Path) -> list[str]:
    """The executions that `hold` has run, in order."""
    return (folder / "ran").read_text().splitlines()


async def test_what_a_killed_worker_ran_is_handed_back_and_not_run_again(
    site: Site, start: Start, tmp_path: Path
) -> None:
    held, after = site.task("hold"), site.task("echo")
    site.send(held)
    first = start(TARGET, PROBE_FOLDER=str(tmp_path))
    await site.about(held, "progress")
    first.signal(signal.SIGKILL)
    assert await first.ended() == -signal.SIGKILL
    start(TARGET, PROBE_FOLDER=str(tmp_path))
    back = (await site.about(held, "handed_back")).report
    assert (back.name, back.token) == ("redelivered_after_assignment", held.token)
    site.send(after)
    await site.about(after, "succeeded")
    await site.commits(2)
    assert ran(tmp_path) == [held.execution_id]
    assert site.kinds(held) == ["started", "progress", "handed_back"]


async def test_sigterm_lets_running_handlers_end_and_commits(
    site: Site, start: Start, tmp_path: Path
) -> None:
    held = site.task("hold")
    site.send(held)
    worker = start(TARGET, PROBE_FOLDER=str(tmp_path))
    await site.about(held, "progress")
    worker.signal(signal.SIGTERM)
    await until(lambda: "stopping" in worker.log.read_text(), "the stop")
    later = site.task("echo")
    site.send(later)
    (tmp_path / "go-on").touch()
    await site.about(held, "succeeded")
    assert await worker.ended() == 0
    assert site.committed() >= 1
    # What came during the drain was either handed back or never read; it did not run.
    assert set(site.kinds(later)) <= {"handed_back"}


async def test_a_hanging_thread_does_not_keep_a_stopped_worker_alive(
    site: Site, start: Start, tmp_path: Path
) -> None:
    hanging = site.task("hang")
    site.send(hanging)
    worker = start(TARGET, PROBE_FOLDER=str(tmp_path))
    await site.about(hanging, "progress")
    worker.signal(signal.SIGTERM)
    back = (await site.about(hanging, "handed_back")).report
    assert back.name == "worker_stopping"
    assert await worker.ended() == 0


async def test_the_content_realm_ingests_real_documents(site: Site, start: Start) -> None:
    start("examples.content_realm:realm")
    await until(lambda: len(site.capabilities()) == 1, "the registration")
    tasks = [
        site.task(
            "ingest_file",
            realm="content",
            intent_type="content.ingest_file",
            payload=f'{{"path":"{name}"}}'.encode(),
        )
        for name in ("handbook.pdf", "permits.csv", "policies.dat")
    ]
    site.send(*tasks, realm="content")
    store = ArtifactStore.from_settings(site.settings)
    found = []
    for task in tasks:
        report = (await site.about(task, "succeeded")).report
        assert site.kinds(task) == ["started", "progress", "checkpoint", "succeeded"]
        (artifact,) = report.artifacts
        found.append((await store.get(artifact.reference)).decode())
        assert report.events[0].type == "file.ingested"
    text, permits, policies = found
    assert text.startswith("Permit Office Handbook")
    assert (len(permits.splitlines()), len(policies.splitlines())) == (203, 104)


async def test_a_realm_that_is_not_there_is_a_wrong_command_line(start: Start) -> None:
    worker = start("tests.integration.sdk.probe:relm")
    assert await worker.ended() == 2
    assert "names 'relm', which is not there" in worker.log.read_text()


async def test_a_worker_without_a_broker_says_so(start: Start) -> None:
    worker = start(TARGET, SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert await worker.ended() == 1
    assert "Kafka did not answer" in worker.log.read_text()
