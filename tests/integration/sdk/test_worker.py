"""A worker against real Kafka, in this process.

- A task's report stands in the task's partition of `steps`, under its execution, with its token.
- An offset is committed when its report is acknowledged, contiguously.
- A checkpoint is in Kafka before the handler goes on, and its final report comes after it.
- What is past `start_by`, of an unknown handler or possibly delivered before is handed back.
- What cannot be read goes to dead letters, and the next task runs.
- Workers that come and go share the tasks: each task runs, none twice.
- A handler's capability is registered once per contract.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from tests.integration.sdk.conftest import PARTITIONS, Placed, Site, until

from symphainy import Context, Event, Outcome, Realm
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import ReportKind, Task
from symphainy_transport import clients
from symphainy_transport.artifacts import ArtifactStore


class Said(BaseModel):
    """A payload with a text."""

    text: str = ""


class Probe:
    """A realm whose handlers the test controls."""

    def __init__(self) -> None:
        self.realm = Realm("probe")
        self.ran: list[str] = []
        self.go_on = asyncio.Event()
        self.realm.intent("probe.echo")(self.echo)
        self.realm.intent("probe.hold")(self.hold)
        self.realm.intent("probe.steps")(self.steps)

    async def echo(self, ctx: Context, payload: Said) -> Outcome:
        """Return what came."""
        self.ran.append(ctx.execution_id)
        return Outcome(result=payload.text, events=[Event("echoed")])

    async def hold(self, ctx: Context, payload: Said) -> Outcome:
        """Return when told to."""
        self.ran.append(ctx.execution_id)
        await self.go_on.wait()
        return Outcome()

    async def steps(self, ctx: Context, payload: Said) -> Outcome:
        """Record a step, then return when told to."""
        length = await ctx.step("length", len, payload.text)
        await self.go_on.wait()
        return Outcome(result=length)


@pytest.fixture
def probe() -> Probe:
    """A fresh realm."""
    return Probe()


def echoing(site: Site, text: str = "hi", **changes: Any) -> Task:
    """A task for `echo`."""
    return site.task("echo", payload=f'{{"text":"{text}"}}'.encode(), **changes)


async def test_a_task_becomes_a_report_in_its_partition(site: Site, probe: Probe) -> None:
    task = echoing(site, partition=3)
    site.send(task)
    async with site.worker(probe.realm, worker_id="w-1"):
        placed = await site.about(task, "succeeded")
        await site.commits(1)
    assert (placed.partition, placed.key) == (3, task.execution_id.encode())
    report = placed.report
    assert (report.token, report.attempt, report.delivery) == (task.token, 1, 1)
    assert (report.worker, report.dispatched_at) == ("w-1", task.dispatched_at)
    assert (report.result, report.events[0].type) == (b'"hi"', "echoed")
    assert 0 < report.started_at <= report.at
    assert site.kinds(task) == ["succeeded"]


async def test_only_a_contiguous_run_of_done_tasks_is_committed(site: Site, probe: Probe) -> None:
    held, quick = site.task("hold"), [echoing(site) for _ in range(5)]
    site.send(echoing(site), held, *quick)
    async with site.worker(probe.realm):
        await asyncio.gather(*(site.about(task, "succeeded") for task in quick))
        await site.commits(1)
        assert (await site.about(held, "started")).report.started_at > 0
        probe.go_on.set()
        await site.commits(7)


async def test_a_checkpoint_is_in_kafka_before_the_handler_goes_on(
    site: Site, probe: Probe
) -> None:
    task = site.task("steps", payload=b'{"text":"four"}')
    site.send(task)
    async with site.worker(probe.realm):
        checkpoint = await site.about(task, "checkpoint")
        assert (checkpoint.report.name, checkpoint.report.result) == ("length", b"4")
        assert site.kinds(task) == ["started", "checkpoint"]
        probe.go_on.set()
        final = await site.about(task, "succeeded")
    assert final.offset > checkpoint.offset
    assert (final.partition, final.report.result) == (checkpoint.partition, b"4")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start_by": 1}, "past_start_by"),
        ({"handler": "renamed"}, "unknown_handler"),
        ({"intent_type": "probe.gone"}, "unknown_handler"),
        ({"capability_version": 9}, "version_not_served"),
    ],
)
async def test_what_may_not_start_is_handed_back(
    site: Site, probe: Probe, changes: dict[str, Any], reason: str
) -> None:
    task = echoing(site, **changes)
    site.send(task)
    async with site.worker(probe.realm):
        back = (await site.about(task, "handed_back")).report
        await site.commits(1)
    assert (back.name, back.token, back.started_at) == (reason, task.token, 0)
    assert probe.ran == []


async def test_garbage_goes_to_dead_letters_and_the_next_task_runs(
    site: Site, probe: Probe
) -> None:
    task, lost = echoing(site), echoing(site, partition=3)
    site.send(b"garbage", task)
    site.send(echoing(site, execution_id=lost.execution_id, partition=PARTITIONS), partition=2)
    async with site.worker(probe.realm):
        await site.about(task, "succeeded")
        await site.commits(2)
        await site.commits(1, partition=2)
    found = {(one.partition, one.offset): one for one in site.letters()}
    assert set(found) == {(0, 0), (2, 0)}
    letter = found[0, 0]
    assert (letter.topic, letter.reason, letter.role) == (
        "tasks.probe",
        "not_single_object",
        "worker",
    )
    assert (letter.key, letter.value) == (b"raw", b"garbage")
    assert found[2, 0].reason == "unknown_partition"


async def test_a_fresh_group_runs_what_waited_and_a_known_one_hands_it_back(
    site: Site, probe: Probe
) -> None:
    waited = echoing(site)
    site.send(waited)
    async with site.worker(probe.realm):
        await site.about(waited, "succeeded")
        await site.commits(1)
    # While nobody works: the next worker cannot know that the last one has not run it.
    between = echoing(site)
    site.send(between)
    async with site.worker(probe.realm):
        back = (await site.about(between, "handed_back")).report
        after = echoing(site)
        site.send(after)
        await site.about(after, "succeeded")
        await site.commits(3)
    assert back.name == "redelivered_after_assignment"
    assert probe.ran == [waited.execution_id, after.execution_id]


async def test_a_large_payload_comes_from_the_object_store(site: Site, probe: Probe) -> None:
    store = ArtifactStore.from_settings(site.settings)
    text = "x" * 50_000
    reference = await store.put("acme", f'{{"text":"{text}"}}'.encode(), "application/json")
    task = site.task("echo", payload=b"", payload_ref=reference)
    site.send(task)
    async with site.worker(probe.realm):
        report = (await site.about(task, "succeeded")).report
    assert len(report.result) == 50_002


async def test_a_full_worker_goes_on_when_there_is_room(site: Site, probe: Probe) -> None:
    held = [site.task("hold") for _ in range(2)]
    rest = [echoing(site) for _ in range(50)]
    site.send(*held, *rest)
    async with site.worker(probe.realm, concurrency=2):
        await asyncio.gather(*(site.about(task, "started") for task in held))
        # Longer than it takes to pause: room that comes later must still be seen.
        await asyncio.sleep(0.5)
        assert len(probe.ran) == 2
        probe.go_on.set()
        await asyncio.gather(*(site.about(task, "succeeded") for task in rest))
        await site.commits(52)


async def test_workers_that_come_and_go_run_each_task_once(site: Site, probe: Probe) -> None:
    tasks: list[Task] = []

    def send() -> None:
        more = [echoing(site, partition=p) for p in range(PARTITIONS) for _ in range(25)]
        tasks.extend(more)
        for p in range(PARTITIONS):
            site.send(*more[p * 25 : p * 25 + 25], partition=p)

    def final(one: Placed) -> bool:
        return one.report.kind in (ReportKind.SUCCEEDED, ReportKind.HANDED_BACK)

    def all_ended() -> bool:
        site.kinds(tasks[0])
        return len({one.report.execution_id for one in site.seen if final(one)}) == len(tasks)

    async with site.worker(probe.realm, worker_id="w-1"):
        send()
        async with site.worker(probe.realm, worker_id="w-2"):
            send()
            await until(all_ended, "the end of all tasks")
            workers = {one.report.worker for one in site.seen}
        send()
        await until(all_ended, "the end of all tasks")
        for p in range(PARTITIONS):
            await site.commits(75, partition=p)
    assert workers == {"w-1", "w-2"}
    # What a planned rebalance finds uncommitted is handed back, never run again.
    assert len(set(probe.ran)) == len(probe.ran)
    ended = {one.report.execution_id for one in site.seen if final(one)}
    assert ended == {task.execution_id for task in tasks}


async def test_a_capability_is_registered_once_per_contract(site: Site, probe: Probe) -> None:
    for worker in ("w-1", "w-2"):
        async with site.worker(probe.realm, worker_id=worker):
            pass
    first = site.capabilities()
    assert sorted((c.name, c.version, c.registered_by) for c in first) == [
        ("probe.echo", 1, "w-1"),
        ("probe.hold", 1, "w-1"),
        ("probe.steps", 1, "w-1"),
    ]
    changed = Realm("probe")
    changed.intent("probe.echo", timeout="1m")(probe.echo)
    task = echoing(site, capability_version=2)
    async with site.worker(changed, worker_id="w-3"):
        site.send(task)
        await site.about(task, "succeeded")
    (newest,) = site.capabilities()[len(first) :]
    assert (newest.name, newest.version, newest.timeout_ms) == ("probe.echo", 2, 60_000)


async def test_a_worker_creates_its_realms_topic(site: Site) -> None:
    realm = Realm("fresh")
    realm.intent("fresh.echo")(Probe().echo)
    async with site.worker(realm):
        pass
    name = site.topics.tasks("fresh")
    found = clients.admin(site.settings).list_topics(topic=name, timeout=10).topics[name]
    assert (found.error, len(found.partitions)) == (None, PARTITIONS)


async def test_a_cluster_without_topics_is_refused_with_the_cure(site: Site, probe: Probe) -> None:
    nowhere = Site.__new__(Site)
    nowhere.settings = site.settings.model_copy(update={"topic_prefix": "nowhere."})
    with pytest.raises(OperatorError) as refused:
        async with nowhere.worker(probe.realm):
            pass
    assert "symphainy topics create" in refused.value.cure
