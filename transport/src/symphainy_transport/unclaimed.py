"""Whether a consumer group with static members has left a partition to nobody.

A cooperative rebalance that moves a partition has two rounds: in the first nobody is given it, its
member hands it over and joins again, which begins the second (KIP-429). A static member that dies
between the two and comes again within its session joins a group that is stable, and is given what
it was given last; that begins no round (KIP-345). What it was to hand over is then assigned to
nobody, for as long as no member comes or goes. Who sees it joins again, under a subscription that
is another one: the broker begins a round for a member that it knows only if that has changed, and
in that round everybody keeps what he has.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaException

from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.5
# Between two rounds partitions have nobody, too: as long as a hand-over may take, usually.
PATIENCE_S = 3.0
PAUSE_S = 15.0  # after a rebalance was asked for
ANSWER_S = 5.0


class Unclaimed:
    """Looks at the group now and then, from a thread of its own.

    By the older of the client's two ways to describe a group, which blocks: the newer one ends the
    process when a broker goes away while it is asked (librdkafka #4605, seen with 2.16).
    """

    def __init__(
        self, settings: TransportSettings, client_id: str, group: str, topic: str, *, lasting: bool
    ) -> None:
        """Every partition of the topic ought to be some member's.

        `lasting`: look until `close`. Else only until the group was seen with nothing left out:
        that is enough to mend what one's own restart leads to, and in a group of a thousand
        members nobody looks all the time.
        """
        self._group, self._topic, self._lasting = group, topic, lasting
        self._admin = admin(settings, client_id)
        self._closing, self._seen = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, name=client_id, daemon=True).start()

    def seen(self) -> bool:
        """Whether a stable group has left something to nobody for a while; true once, then not
        for `PAUSE_S`."""
        if not self._seen.is_set():
            return False
        self._seen.clear()
        return True

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def _watch(self) -> None:
        since: float | None = None
        pause_s = LOOK_EVERY_S
        while not self._closing.wait(pause_s):
            missing, now, pause_s = self._missing(), time.monotonic(), LOOK_EVERY_S
            if not missing:
                since = None
                if missing is not None and not self._lasting:
                    return
                continue
            since = since or now
            if now - since >= PATIENCE_S:
                log.warning("the group has left partitions %s to nobody", sorted(missing))
                since, pause_s = None, PAUSE_S
                self._seen.set()

    def _missing(self) -> frozenset[int] | None:
        """What is nobody's; None where that cannot be said now."""
        try:
            found = self._admin.list_groups(self._group, timeout=ANSWER_S)
            known = self._admin.list_topics(self._topic, timeout=ANSWER_S).topics.get(self._topic)
        except KafkaException:  # no coordinator now: the membership has more to say about that
            return None
        # Its stub says that these attributes are None.
        group: Any = found[0] if found else None
        if group is None or group.error is not None or group.state != "Stable":
            return None
        if known is None or known.error is not None:
            return None
        claimed = {
            partition
            for member in group.members
            for topic, partition in assigned(member.assignment or b"")
            if topic == self._topic
        }
        return frozenset(known.partitions) - claimed


def assigned(assignment: bytes) -> Iterator[tuple[str, int]]:
    """(topic, partition) of a member's assignment, as the group's leader wrote it.

    Source: ConsumerProtocolAssignment.json in Apache Kafka; versions only add behind.
    """
    if not assignment:
        return
    _version, topics = struct.unpack_from(">hi", assignment)
    at = 6
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", assignment, at)
        name = assignment[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (count,) = struct.unpack_from(">i", assignment, at)
        for partition in struct.unpack_from(f">{count}i", assignment, at + 4):
            yield name, partition
        at += 4 + 4 * count
