"""Taking ownership: restore, take a term, fold to it, ask the group once more (rule 1).

All partitions of one call are taken together, so that their appends share one wait.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.kafka_port import DELIVERY_TIMEOUT_MS, KafkaPort
from symphainy_processors.owner.membership import Membership
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import World
from symphainy_runtime.journal.reading import JournalReader
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clients import consumer
from symphainy_transport.topics import JOURNAL, Topics

log = logging.getLogger(__name__)
DAY_MS = 86_400_000


@dataclass(slots=True)
class _Restored:
    """A partition's state as of `standing`, folded from records below `read_to`."""

    state: PartitionState
    standing: Validity
    read_to: int
    term: int | None = None


class Takeover:
    """Takes partitions for one owner."""

    def __init__(
        self,
        settings: RuntimeSettings,
        name: str,
        port: KafkaPort,
        world: World,
        contracts: Contracts,
        membership: Membership,
    ) -> None:
        self._name = name
        self._port = port
        self._world = world
        self._contracts = contracts
        self._membership = membership
        self._window_ms = int(settings.dedupe_window_days * DAY_MS)
        self._consumer = consumer(settings, f"{name}-restore")
        self._reader = JournalReader(self._consumer, Topics(settings.topic_prefix).name(JOURNAL))

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def take(self, wanted: set[int]) -> dict[int, OwnedPartition]:
        """Own what can be owned now; what is missing from the answer may be tried again."""
        restored = {p: self._restore(p) for p in sorted(wanted)}
        self._take_terms(restored)
        taken = {}
        for p, one in restored.items():
            if one.term is None:
                continue
            self._fold(p, one, one.term + 1)
            if one.standing.term != one.term:
                log.warning("partition %d: overtaken while taking it", p)
                continue
            taken[p] = OwnedPartition(
                p, one.state, one.standing, self._port, self._world, self._contracts, self._name
            )
        named = self._membership.poll()
        kept = {p: owned for p, owned in taken.items() if p in named}
        if kept:
            log.info(
                "owning %s",
                ", ".join(
                    f"{p} (term {restored[p].term}, {len(owned.state.executions)} executions)"
                    for p, owned in kept.items()
                ),
            )
        return kept

    def _restore(self, p: int) -> _Restored:
        low, high = self._reader.bounds(p)
        one = _Restored(PartitionState(self._window_ms), Validity(), low)
        self._fold(p, one, high)
        return one

    def _fold(self, p: int, one: _Restored, end: int) -> None:
        for stored in self._reader.read(p, one.read_to, end, one.standing):
            one.standing = stored.standing
            if stored.valid and stored.record is not None:
                one.state.apply(stored.record, stored.offset)
        one.read_to = max(one.read_to, end)

    def _take_terms(self, restored: dict[int, _Restored]) -> None:
        waiting = set(restored)
        for p, one in restored.items():
            value = ownership_taken(
                self._name,
                max(self._world.now_ms(), one.state.last_at),
                one.standing,
                Positions(one.state.intents_next, one.state.steps_next),
                one.state.acted_to,
            )

            def appended(offset: int | None, p: int = p) -> None:
                restored[p].term = offset
                waiting.discard(p)

            self._port.append(p, b"", value, appended)
        # The producer answers each append within its delivery timeout, one way or the other.
        for _ in range(2 * DELIVERY_TIMEOUT_MS // 100):
            if not waiting:
                return
            self._port.serve(0.1)
