"""Proof from Kafka alone: what the journal says of some executions, through the one filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from symphainy_runtime.journal.reading import JournalReader
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import events as e
from symphainy_transport.clients import consumer
from symphainy_transport.topics import JOURNAL, Topics

_ENDS = (e.IntentRejected, e.ExecutionSucceeded, e.ExecutionFailed, e.ExecutionCancelled)


@dataclass(frozen=True, slots=True)
class Proof:
    """Counts over the executions asked for."""

    received: int
    ended: int
    twice: int
    missing: int

    @property
    def exact(self) -> bool:
        """Each was received once and ended once."""
        return self.received == self.ended and not self.twice and not self.missing


def prove(settings: RuntimeSettings, executions: Iterable[str]) -> Proof:
    """Read the whole journal and count each execution's beginning and end."""
    wanted = set(executions)
    received: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    client = consumer(settings, "symphainy-proof")
    reader = JournalReader(client, Topics(settings.topic_prefix).name(JOURNAL))
    for partition in range(settings.partitions):
        low, high = reader.bounds(partition)
        for stored in reader.read(partition, low, high, Validity()):
            record = stored.record
            if not stored.valid or record is None or record.execution_id not in wanted:
                continue
            for event in record.events:
                if isinstance(event, e.IntentReceived):
                    received[record.execution_id] += 1
                elif isinstance(event, _ENDS):
                    ended[record.execution_id] += 1
    client.close()
    return Proof(
        received=sum(1 for one in wanted if received[one] == 1),
        ended=sum(1 for one in wanted if ended[one] == 1),
        twice=sum(1 for one in wanted if received[one] > 1 or ended[one] > 1),
        missing=sum(1 for one in wanted if not received[one] or not ended[one]),
    )
