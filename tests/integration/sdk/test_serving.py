"""What a worker writes of the versions that it serves.

- It is there before the worker has joined its group, and removed when it stops.
- What a killed worker left is removed by a later one, once it is old; what is fresh stays.
- A worker that only drains writes no version, and refuses code that was never registered.
- Its group tells that it lives. When that had let it go, it says again what it serves.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.sdk.conftest import Site, until
from tests.integration.sdk.test_worker import Probe, echoing

from symphainy import Realm
from symphainy.worker import Worker
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.records import ServedVersions, Serving
from symphainy_transport.clock import SystemClock
from symphainy_transport.groups import members


@pytest.fixture
def probe() -> Probe:
    """A fresh realm."""
    return Probe()


def changed(probe: Probe) -> Realm:
    """The realm with other code for one of its handlers, which goes on with no other version."""
    realm = Realm("probe")
    realm.intent("probe.echo", timeout="1m", serves="own")(probe.echo)
    return realm


async def test_what_a_worker_serves_is_there_while_it_lives(site: Site) -> None:
    group = site.topics.name("realm.probe")
    assert members(site.settings, "test", group) == ()
    async with site.worker(Probe().realm, worker_id="w/1"):
        ((key, said),) = site.serving()
        assert members(site.settings, "test", group) == ("w/1",)
    assert key == b"worker/probe/w/1"
    assert said is not None
    assert [(one.intent_type, one.oldest, one.newest) for one in said.versions] == [
        ("probe.echo", 1, 1),
        ("probe.hold", 1, 1),
        ("probe.steps", 1, 1),
    ]
    assert site.serving()[1:] == [(key, None)]
    await until(lambda: members(site.settings, "test", group) == (), "the group is empty")


async def test_what_a_killed_worker_left_is_removed_once_it_is_old(site: Site) -> None:
    now = SystemClock().now_ms()
    for name, age_ms in (("old", 90_000_000), ("fresh", 1_000)):
        said = Serving(worker_id=name, realm="probe", versions=(), registered_at=now - age_ms)
        site.say(f"worker/probe/{name}".encode(), said)
    async with site.worker(Probe().realm, worker_id="w-1"):
        later = site.serving()[2:]
    assert [(key, said is None) for key, said in later] == [
        (b"worker/probe/w-1", False),
        (b"worker/probe/old", True),
    ]


async def test_a_worker_that_drains_has_its_old_version_and_registers_none(
    site: Site, probe: Probe
) -> None:
    refusing = Worker([probe.realm], site.settings, draining=True)
    with pytest.raises(OperatorError, match="nothing of it to drain") as refused:
        await asyncio.wait_for(refusing.run(), 40)
    assert refused.value.code == "version_not_registered"
    async with site.worker(probe.realm):
        pass
    async with site.worker(changed(probe), worker_id="w-2"):
        known = site.capabilities()
    assert known[-1].version == 2
    ours, theirs = echoing(site), echoing(site, capability_version=2)
    async with site.worker(probe.realm, worker_id="drains", draining=True):
        site.send(ours, theirs)
        await site.about(ours, "succeeded")
        back = (await site.about(theirs, "handed_back")).report
        said = dict(site.serving())[b"worker/probe/drains"]
    assert (back.name, back.worker) == ("version_not_served", "drains")
    assert said is not None
    assert said.versions[0] == ServedVersions(intent_type="probe.echo", oldest=1, newest=1)
    assert site.capabilities() == known


async def test_code_that_serves_only_its_own_version_hands_older_ones_back(
    site: Site, probe: Probe
) -> None:
    async with site.worker(probe.realm):
        pass
    task = echoing(site)
    async with site.worker(changed(probe)):
        site.send(task)
        back = (await site.about(task, "handed_back")).report
    assert back.name == "version_not_served"


async def test_a_worker_that_its_group_let_go_says_again_what_it_serves(
    site: Site, probe: Probe
) -> None:
    topic = site.topics.tasks("probe")
    async with site.worker(probe.realm, worker_id="w-1") as worker:
        ((_, said),) = site.serving()
        worker._joined(topic)  # a rebalance: nothing to say
        worker._left_out(topic)
        worker._joined(topic)
        await until(lambda: len(site.serving()) == 2, "it says so again")
        assert site.serving()[1] == (b"worker/probe/w-1", said)
