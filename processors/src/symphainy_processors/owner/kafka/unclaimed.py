"""Whether the owners' group has left a partition to nobody.

A cooperative rebalance that moves a partition has two rounds: in the first nobody is given it, its
member hands it over and joins again, which begins the second (KIP-429). A static member that dies
between the two and comes again within its session joins a group that is stable, and is given what
it was given last; that begins no round (KIP-345). What it was to hand over is then assigned to
nobody, for as long as no member comes or goes.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import ConsumerGroupDescription  # type: ignore[attr-defined]  # re-exported

from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.5
# Between two rounds partitions have nobody, too: as long as a hand-over may take, usually.
PATIENCE_S = 3.0
PAUSE_S = 15.0  # after a rebalance was asked for
ANSWER_S = 5.0


class Unclaimed:
    """Looks at the group now and then, without ever waiting."""

    def __init__(
        self, settings: TransportSettings, client_id: str, group: str, topic: str, partitions: int
    ) -> None:
        """Every one of the topic's `partitions` ought to be some member's."""
        self._group, self._topic = group, topic
        self._every = frozenset(range(partitions))
        self._admin = admin(settings, client_id)
        self._asked: Future[ConsumerGroupDescription] | None = None
        self._next_look = time.monotonic() + LOOK_EVERY_S
        self._since: float | None = None

    def seen(self) -> bool:
        """Whether a stable group has left something to nobody for a while; true once, then not
        for `PAUSE_S`."""
        now = time.monotonic()
        if self._asked is None:
            if now >= self._next_look:
                self._next_look = now + LOOK_EVERY_S
                self._asked = self._ask()
            return False
        if not self._asked.done():
            return False
        missing = self._missing(self._asked)
        self._asked = None
        if not missing:
            self._since = None
            return False
        self._since = self._since or now
        if now - self._since < PATIENCE_S:
            return False
        log.warning("the group has left partitions %s to nobody; joining again", sorted(missing))
        self._since, self._next_look = None, now + PAUSE_S
        return True

    def _ask(self) -> Future[ConsumerGroupDescription]:
        asked = self._admin.describe_consumer_groups([self._group], request_timeout=ANSWER_S)
        return asked[self._group]

    def _missing(self, asked: Future[ConsumerGroupDescription]) -> frozenset[int]:
        try:
            found = asked.result()
        except KafkaException:  # no coordinator now: the membership has more to say about that
            return frozenset()
        if found.state != ConsumerGroupState.STABLE:
            return frozenset()
        claimed = {
            place.partition
            for member in found.members
            if member.assignment is not None
            for place in member.assignment.topic_partitions
            if place.topic == self._topic
        }
        return self._every - claimed
