"""Invariants of a worker's membership of its group.

- A name is its place in the group; without one it has none that is kept.
- What the group says of another topic is not told on; of the tasks, everything is.
- Who has a name joins again, under another subscription, when a partition is left to nobody.
- Who is refused under its name joins again, as a new member, if nobody else has it.
- That another has the name ends the worker by words that say so; other faults have their own.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from symphainy.worker import group as module
from symphainy.worker.faults import is_fence, translated
from symphainy.worker.group import SESSION_TIMEOUT_MS, Group
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport import clients
from symphainy_transport.settings import TransportSettings

TASKS, CANCELS = "symphainy.tasks.content", "symphainy.cancels"
Callback = Callable[[Any, list[TopicPartition]], None]


class FakeConsumer:
    """What a consumer was asked for."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.topics: list[list[str]] = []
        self.callbacks: dict[str, Callback] = {}
        self.closed = False

    def subscribe(self, topics: list[str], **callbacks: Callback) -> None:
        """As the real one."""
        self.topics.append(topics)
        self.callbacks = callbacks

    def memberid(self) -> str:
        """As the real one."""
        return f"{self.config.get('group_instance_id', 'w')}-{'0' * 36}"

    def close(self) -> None:
        """As the real one."""
        self.closed = True


class FakeReturning:
    """Knows at once whether the name is free."""

    free_names: ClassVar[set[str]] = set()
    asked: ClassVar[list[tuple[str, set[str]]]] = []

    def __init__(
        self, _: Any, client: str, group: str, name: str, *, ours: set[str], session_s: float
    ) -> None:
        assert session_s == SESSION_TIMEOUT_MS / 1000
        self._name = name
        self.asked.append((name, set(ours)))

    def free(self) -> bool:
        """As the real one."""
        return self._name in self.free_names

    def close(self) -> None:
        """As the real one."""


class FakeUnclaimed:
    """Says what the test lets it."""

    made: list[FakeUnclaimed]

    def __init__(self, *_: Any, lasting: bool) -> None:
        assert not lasting
        self.left_out = self.closed = False
        self.made.append(self)

    def seen(self) -> bool:
        """As the real one."""
        return self.left_out

    def close(self) -> None:
        """As the real one."""
        self.closed = True


class Joined:
    """A membership, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        FakeUnclaimed.made = []
        monkeypatch.setattr(module, "Unclaimed", FakeUnclaimed)
        monkeypatch.setattr(clients, "consumer", lambda *_, **config: FakeConsumer(config))
        self.group = Group(TransportSettings(), TASKS, "g", "w", name)
        consumer: Any = self.group.consumer
        self.consumer: FakeConsumer = consumer
        self.told: list[tuple[str, list[int]]] = []
        self.group.join(*(self._told(what) for what in ("assigned", "revoked", "lost")))

    def _told(self, what: str) -> Callback:
        return lambda _, places: self.told.append((what, [place.partition for place in places]))

    def says(self, what: str, *places: TopicPartition) -> None:
        """The group says it."""
        self.consumer.callbacks[f"on_{what}"](self.consumer, list(places))


@pytest.mark.parametrize("name", ["", "w-1"])
def test_a_name_is_the_place_in_the_group(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    joined = Joined(monkeypatch, name)
    assert joined.consumer.config.get("group_instance_id", "") == name
    joined.says("assign", TopicPartition(TASKS, 0))
    assert len(FakeUnclaimed.made) == bool(name)
    joined.group.look()
    joined.group.close()
    assert joined.consumer.closed
    assert all(watch.closed for watch in FakeUnclaimed.made)
    assert joined.consumer.topics == [[TASKS]]


def test_another_topic_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = Joined(monkeypatch, "w-1")
    for what in ("assign", "revoke", "lost"):
        joined.says(what, TopicPartition(CANCELS, 0), TopicPartition(TASKS, 3))
    joined.says("assign")
    assert joined.told == [
        ("assigned", [3]),
        ("revoked", [3]),
        ("lost", [3]),
        ("assigned", []),
    ]


def test_who_sees_a_partition_left_out_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = Joined(monkeypatch, "w-1")
    joined.group.look()
    joined.says("assign")
    (watch,) = FakeUnclaimed.made
    for left_out in (False, True, True):
        watch.left_out = left_out
        joined.group.look()
    assert joined.consumer.topics == [[TASKS], [TASKS, CANCELS], [TASKS]]
    joined.says("assign")
    assert FakeUnclaimed.made == [watch]


@pytest.mark.parametrize("free", [True, False])
def test_who_is_refused_joins_again_if_nobody_has_the_name(
    monkeypatch: pytest.MonkeyPatch, free: bool
) -> None:
    monkeypatch.setattr(module, "Returning", FakeReturning)
    monkeypatch.setattr(FakeReturning, "free_names", {"w-1"} if free else set())
    monkeypatch.setattr(FakeReturning, "asked", [])
    joined = Joined(monkeypatch, "w-1")
    joined.says("assign", TopicPartition(TASKS, 0))
    assert joined.group.again(Event()) is free
    assert joined.consumer.closed
    assert FakeReturning.asked == [("w-1", {joined.consumer.memberid()})]
    anew: Any = joined.group.consumer
    assert (anew is not joined.consumer) is free
    assert anew.topics == [[TASKS]]


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError.FENCED_INSTANCE_ID),
        KafkaError(KafkaError._FATAL, "Static group instance id fenced by another member"),
    ],
)
def test_that_another_has_the_name_is_said(error: KafkaError) -> None:
    fault = KafkaException(error)
    assert is_fence(fault)
    said = translated(fault)
    assert isinstance(said, OperatorError)
    assert (said.code, "`--name` of its own" in said.cure) == ("worker_fenced", True)


def test_other_faults_have_words_of_their_own() -> None:
    away = KafkaException(KafkaError(KafkaError._TRANSPORT))
    assert not is_fence(away)
    assert isinstance(translated(away), Unavailable)
    bug = ValueError("no fault of Kafka's")
    assert not is_fence(bug)
    assert translated(bug) is bug
