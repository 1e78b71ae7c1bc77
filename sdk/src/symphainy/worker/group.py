"""A worker's place in its realm's consumer group: under a stable name, or under none.

With a name it is a static member (KIP-345): a process that comes again under it takes the place of
the one that died, with what that had, at once, and no rebalance begins. That this is safe rests on
nothing that a rebalance would have brought:

- *What the dead one may have started is handed back* (rules 12 and 13). The new process's client
  knows of no assignment, so all that it is given is new to it: the pump is told of every partition,
  as after a rebalance, and takes the group's commit and the end of the partition. Both are read
  after the group has put us in the dead one's place. From then on the broker refuses its commits
  (FENCED_INSTANCE_ID), so the commit that we read is its last; and it reads nothing more, so what
  it may have started stands below that end. No other member ever had these partitions meanwhile.
- *Who was stopped and wakes asks before it starts anything* (`standing`). It asks by a commit, and
  the broker knows the answer with or without a rebalance: UNKNOWN_MEMBER_ID to who was given up,
  FENCED_INSTANCE_ID to who was replaced under its name. Both let go.
- *Two that live under one name*: the newer has the partitions, and the older is told by its next
  heartbeat, lets go of what it has not started, and ends when it has seen for longer than a session
  that the newer one lives (`returning`: where nobody has the name, it joins again). Until it is
  told, for about a second, both read, and both may start what comes. Whoever names processes has to
  see to it that there is one of each; if not, it is as with a task that stands in Kafka twice
  (docs/journal-protocol.md).
- *A partition that is left to nobody*: a named member that dies in the midst of a rebalance, and
  comes again, may leave one, which it finds and mends (`unclaimed`).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from confluent_kafka import Consumer, TopicPartition

from symphainy.worker.faults import log_error
from symphainy_transport import clients
from symphainy_transport.returning import Returning
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CANCELS, Topics
from symphainy_transport.unclaimed import Unclaimed

Told = Callable[[Consumer, list[TopicPartition]], None]

# A worker that died, and does not come again under its name, is noticed after this; its tasks wait
# as long. The broker's lower bound is 6 s (group.min.session.timeout.ms); librdkafka's own thread
# sends heartbeats, so a busy Python process does not miss ten in a row.
SESSION_TIMEOUT_MS = 10_000
# Members learn of a rebalance by a heartbeat, and a cooperative one has two rounds.
HEARTBEAT_MS = 1_000
_LOOK_S = 0.1


class Group:
    """The consumer of one realm's tasks, and its membership. Only the pump's thread uses it."""

    def __init__(
        self, settings: TransportSettings, topic: str, group_id: str, client_id: str, name: str
    ) -> None:
        """`name` is the process's own among those of the group; empty: a member without one."""
        self._settings, self._topic = settings, topic
        self._group_id, self._client_id, self._name = group_id, client_id, name
        self._other_topic = Topics(settings.topic_prefix).name(CANCELS)
        self._both = False
        self._told: tuple[Told, Told, Told] | None = None
        self._member_ids: set[str] = set()
        self.consumer = self._member()
        self._unclaimed: Unclaimed | None = None

    def _member(self) -> Consumer:
        return clients.consumer(
            self._settings,
            self._client_id,
            group_id=self._group_id,
            error_cb=log_error,
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            **({"group_instance_id": self._name} if self._name else {}),
        )

    def join(self, assigned: Told, revoked: Told, lost: Told) -> None:
        """Ask for partitions; the consumer's polls call these, also with no partition."""
        self._told = (self._ours(self._watched(assigned)), self._ours(revoked), self._ours(lost))
        self._subscribe()

    def look(self) -> None:
        """Join again if a partition is nobody's. Reads no record of the other topic: it is never
        assigned."""
        if self._unclaimed is not None and self._unclaimed.seen():
            self._both = not self._both
            self._subscribe()

    def again(self, finishing: Event) -> bool:
        """Be a new member, after the broker has refused us under our name: unless another lives
        under it, or this is to finish. Blocks for as long as a session."""
        self.consumer.close()
        returning = Returning(
            self._settings,
            f"{self._client_id}-name",
            self._group_id,
            self._name,
            ours=self._member_ids,
            session_s=SESSION_TIMEOUT_MS / 1000,
        )
        while (free := returning.free()) is None and not finishing.is_set():
            returning.wait(_LOOK_S)
        returning.close()
        if not free:
            return False
        self.consumer = self._member()
        self._subscribe()
        return True

    def close(self) -> None:
        """Leave. What a member with a name has waits for its session: it may come again."""
        if self._unclaimed is not None:
            self._unclaimed.close()
        self.consumer.close()

    def _subscribe(self) -> None:
        assert self._told is not None
        assigned, revoked, lost = self._told
        topics = [self._topic, *([self._other_topic] if self._both else [])]
        self.consumer.subscribe(topics, on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def _watched(self, assigned: Told) -> Told:
        """With a name: from the first assignment on it is looked for what nobody has."""

        def watched(consumer: Consumer, places: list[TopicPartition]) -> None:
            self._member_ids.add(consumer.memberid() or "")
            if self._name and self._unclaimed is None:
                client = f"{self._client_id}-group"
                self._unclaimed = Unclaimed(
                    self._settings, client, self._group_id, self._topic, lasting=False
                )
            assigned(consumer, places)

        return watched

    def _ours(self, told: Told) -> Told:
        def about(consumer: Consumer, places: list[TopicPartition]) -> None:
            told(consumer, [place for place in places if place.topic == self._topic])

        return about
