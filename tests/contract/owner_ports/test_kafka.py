"""The Kafka adapter keeps the ports' contract; and what only Kafka can do to it.

- Nothing is lost or reordered while the client's queue is full.
- An acknowledgement without an offset acknowledges nothing.
- A client that is broken for good says so.
- A topic that is not there holds up its own records alone, and they come when it is there.
- Ends of transactions leave holes in a log: reads end all the same.
- A journal made anew under its old name has another identity.
- A batch larger than the client's queue is written as one transaction.
- An owner that dies while it hands over, and comes again in time, leaves no partition to nobody.
- What is registered after an owner's start is found when it is asked for, which is asked for seldom
  and does not wait for records.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # re-exported
from msgspec.structs import replace
from tests.contract.owner_ports.harness import REALM, session, state_batch, until
from tests.contract.owner_ports.intake_contract import IntakeContract
from tests.contract.owner_ports.journal_contract import JournalContract, everything
from tests.contract.owner_ports.kafka_harness import ANSWER_S, KafkaHarness
from tests.contract.owner_ports.membership_contract import Member, MembershipContract
from tests.contract.owner_ports.port_contract import PortContract
from tests.contract.owner_ports.state_log_contract import StateLogContract
from tests.samples import SAMPLES, TASK

from symphainy_processors.owner.kafka import ranges, state_writer, world
from symphainy_processors.owner.kafka.membership import HEARTBEAT_MS
from symphainy_processors.owner.kafka.port import KafkaPort
from symphainy_processors.owner.ports import StateFailed, StateOpened, StateWritten
from symphainy_runtime.configuration import write_config
from symphainy_runtime.local import LocalServices
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Capability, Tenant
from symphainy_transport import clients
from symphainy_transport.clients import FETCH_WAIT_MS, producer
from symphainy_transport.topics import JOURNAL

TENANT = cast(Tenant, SAMPLES["tenant"])
CAPABILITY = cast(Capability, SAMPLES["capability"])


class ForgetfulProducer(Producer):
    """Tells its first acknowledgement without the offset."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._forgotten = False

    def produce(self, *arguments: Any, **named: Any) -> None:
        """As the real one; `on_delivery` is the fifth argument, as the adapters call it."""
        topic, value, key, partition, delivered = arguments

        def forget(error: KafkaError | None, message: Message) -> None:
            if not self._forgotten and error is None:
                self._forgotten = True
                message = Message(topic=topic, partition=partition, key=key, value=value)
            delivered(error, message)

        super().produce(topic, value, key, partition, forget, **named)


class BrokenProducer(Producer):
    """Has met what the client calls fatal."""

    def poll(self, timeout: float = -1) -> int:
        """As the real one then."""
        raise KafkaException(KafkaError(KafkaError._FATAL, "out of order", True))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every producer made from here on is a forgetful one."""
    monkeypatch.setattr(clients, "Producer", ForgetfulProducer)


@pytest.fixture
def harness(
    broker: LocalServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaHarness]:
    """A world of this test's own."""
    monkeypatch.setattr(ranges, "STALL_S", 3.0)
    with KafkaHarness(broker, tmp_path) as made:
        yield made


class TestKafkaPort(PortContract):
    """`KafkaPort`."""

    def test_nothing_is_lost_while_the_clients_queue_is_full(self, harness: KafkaHarness) -> None:
        port = KafkaPort(harness.settings, "small", queue_messages=20)
        offsets: list[int | None] = []
        sent: list[int] = []

        def appended(number: int, offset: int | None, _: int) -> None:
            offsets.append(offset)
            port.send(replace(TASK, delivery=number), lambda _: sent.append(number))

        for number in range(400):
            port.next_turn()
            port.append(0, b"k", b"%d" % number, partial(appended, number))
        assert len(port) == 400
        assert port.flush(ANSWER_S) == 0
        assert offsets == list(range(400))
        assert sorted(sent) == list(range(400))
        assert [x.value for x in harness.read(JOURNAL)] == [b"%d" % n for n in range(400)]
        port.close()

    @pytest.mark.usefixtures("forgetful")
    def test_an_append_without_an_offset_is_in_doubt(self, harness: KafkaHarness) -> None:
        port = harness.owner("o1").port
        answers: list[int | None] = []
        for _ in range(3):
            port.append(0, b"", b"v", lambda offset, _: answers.append(offset))
        assert port.flush(ANSWER_S) == 0
        assert answers == [None, 1, 2]

    @pytest.mark.usefixtures("forgetful")
    def test_a_task_without_an_offset_is_in_doubt_and_not_sent_again(
        self, harness: KafkaHarness
    ) -> None:
        port = harness.owner("o1").port
        told: list[bool] = []
        port.send(TASK, told.append)
        assert port.flush(ANSWER_S) == 0
        assert told == [False]
        assert len(harness.read(f"tasks.{REALM}")) == 1

    def test_a_client_that_is_broken_for_good_says_so(
        self, harness: KafkaHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "Producer", BrokenProducer)
        port = KafkaPort(harness.settings, "broken")
        with pytest.raises(Unavailable):
            port.serve(0.0)

    def test_a_topic_that_is_not_there_holds_up_its_own_records_alone(
        self, harness: KafkaHarness
    ) -> None:
        port = harness.owner("o1").port
        sent: list[str] = []
        port.send(replace(TASK, realm="late"), lambda _: sent.append("late"))
        for _ in range(5):
            port.next_turn()
            port.append(0, b"", b"v", lambda *_: sent.append("append"))
            port.send(TASK, lambda _: sent.append("task"))
            until(harness, lambda: len(port) == 1, "all else is sent", lambda: port.serve(0.02))
        assert sorted(sent) == sorted(["append", "task"] * 5)
        spec = harness.topics.realm_spec("late", 2)
        made = harness.admin.create_topics([NewTopic(spec.name, 2, 1)])
        made[spec.name].result(ANSWER_S)
        until(harness, lambda: not len(port), "the late one is sent", lambda: port.serve(0.02))
        assert sent.count("late") == 1
        assert len(harness.read("tasks.late")) == 1


class TestKafkaIntake(IntakeContract):
    """`KafkaIntake`."""


class TestGroupMembership(MembershipContract):
    """`GroupMembership`."""

    @staticmethod
    @contextmanager
    def mortal(harness: KafkaHarness, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A member that is a process, with partitions; it dies when it is to hand over."""
        module, settings = "tests.contract.owner_ports.mortal", harness.settings.model_dump_json()
        command = [sys.executable, "-m", module, name, settings]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"owns\n"
                yield process
            finally:
                process.kill()

    def test_who_dies_handing_over_leaves_nothing_to_nobody(self, harness: KafkaHarness) -> None:
        """The group has what it was to hand over assigned to nobody yet, and a static member that
        comes again causes no rebalance."""
        with self.mortal(harness, "o1") as mortal:
            second = Member(harness, "o2")
            until(harness, lambda: mortal.poll(), "it dies handing over", second.poll)
        again = Member(harness, "o1")
        again.others, second.others = [second], [again]
        self.settle(harness, again, second)
        again.membership.close()
        second.membership.close()

    def test_who_is_refused_for_one_that_died_joins_again(self, harness: KafkaHarness) -> None:
        """As for one that a crashed broker remembers: nobody lives under the name."""
        first = Member(harness, "o1")
        self.settle(harness, first)
        with self.mortal(harness, "o1") as second:
            # Whom no heartbeat came from yet a broker waits for as for one that is to join.
            beats = harness.now_ms() + 2 * HEARTBEAT_MS
            until(harness, lambda: not first.has, "the first is refused", first.poll)
            beating = "the second has told that it lives"
            until(harness, lambda: harness.now_ms() > beats, beating, first.poll)
            second.kill()
        self.settle(harness, first)
        assert first.revoked == []
        first.membership.close()


class TestKafkaJournal(JournalContract):
    """`KafkaJournal`."""

    def test_a_read_ends_where_a_transaction_ended(self, harness: KafkaHarness) -> None:
        foreign = producer(harness.settings, "foreign", transactional_id="foreign")
        foreign.init_transactions(ANSWER_S)
        for commit in (True, False):
            foreign.begin_transaction()
            foreign.produce(harness.topics.name(JOURNAL), b"v", b"k", 0)
            assert foreign.flush(ANSWER_S) == 0
            if commit:
                foreign.commit_transaction(ANSWER_S)
            else:
                foreign.abort_transaction(ANSWER_S)
        journal = harness.owner("o1").journal
        assert journal.bounds(0) == (0, 4)
        assert everything(journal, 0, 0, 4) == [(0, b"v")]
        assert everything(journal, 0, 1, 4) == []

    def test_a_journal_made_anew_is_another(self, harness: KafkaHarness) -> None:
        journal = harness.owner("o1").journal
        before = journal.identity()
        name = harness.topics.name(JOURNAL)
        harness.admin.delete_topics([name])[name].result(ANSWER_S)
        harness.admin.create_topics([NewTopic(name, 4, 1)])[name].result(ANSWER_S)

        def identity() -> str:
            try:
                return journal.identity()
            except Unavailable:  # the brokers hear of both a moment later
                return before

        until(harness, lambda: identity() != before, "it has another id", harness.go_on)


class TestKafkaStateLog(StateLogContract):
    """`KafkaStateLog`."""

    @pytest.mark.usefixtures("forgetful")
    def test_a_row_without_an_offset_is_not_committed(self, harness: KafkaHarness) -> None:
        writer = state_writer.StateWriter(harness.settings, "forgetful")
        writer.open(0, lambda: False)
        batch, _ = state_batch(9, [session(1), session(2)])
        told = writer.write(0, batch, lambda: False)
        assert isinstance(told, StateFailed)
        assert not told.overtaken
        assert harness.read("state") == []
        assert writer.open(0, lambda: False) == StateOpened(0, None)
        writer.close()

    def test_a_batch_larger_than_the_clients_queue_is_one_transaction(
        self, harness: KafkaHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state_writer, "QUEUE_KBYTES", 16)
        writer = state_writer.StateWriter(harness.settings, "small")
        writer.open(0, lambda: False)
        batch, _ = state_batch(9, [session(n) for n in range(2_000)])
        assert writer.write(0, batch, lambda: False) == StateWritten(0)
        with closing(harness.owner("o1").state_log.read(0)) as batches:
            assert sum(len(rows) for rows in batches) == 2_001
        writer.close()


class TestRunningWorld:
    """`RunningWorld`."""

    def test_what_is_registered_late_is_found(self, harness: KafkaHarness) -> None:
        running = harness.owner("o1").world
        assert running.tenant(TENANT.tenant_id) is None
        write_config(harness.settings, TENANT, CAPABILITY)
        until(
            harness,
            lambda: running.tenant(TENANT.tenant_id) == TENANT,
            "the tenant is found",
            harness.go_on,
        )
        assert running.capability(CAPABILITY.name) == CAPABILITY
        newer = replace(TENANT, version=2, weight=9)
        write_config(harness.settings, newer)
        until(
            harness,
            lambda: running.tenant(TENANT.tenant_id) == newer,
            "the newer version is in force",
            running.refresh,
        )
        assert running.capability(f"{REALM}.unknown") is None

    def test_to_look_once_more_does_not_wait_for_records(
        self, harness: KafkaHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world, "RECHECK_MS", 0)
        running = harness.owner("o1").world
        began, times = harness.now_ms(), 20
        for number in range(times):
            assert running.capability(f"{REALM}.unknown{number}") is None
        assert harness.now_ms() - began < times * FETCH_WAIT_MS / 2

    def test_chance_is_chance(self, harness: KafkaHarness) -> None:
        running = harness.owner("o1").world
        assert len({running.token() for _ in range(100)}) == 100
        assert all(len(running.token()) >= 22 for _ in range(100))  # 128 bits
        assert all(0 <= running.jitter() < 1 for _ in range(100))
