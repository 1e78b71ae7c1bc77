"""Proof from Kafka alone: what the journal says of some executions, through the one filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from symphainy_processors.owner.kafka.journal import KafkaJournal
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import events as e
from symphainy_schemas.events import JournalRecord

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
    with closing(KafkaJournal(settings, "symphainy-proof")) as journal:
        for partition in range(settings.partitions):
            for record in _valid(journal, partition):
                if record.execution_id not in wanted:
                    continue
                for event in record.events:
                    if isinstance(event, e.IntentReceived):
                        received[record.execution_id] += 1
                    elif isinstance(event, _ENDS):
                        ended[record.execution_id] += 1
    return Proof(
        received=sum(1 for one in wanted if received[one] == 1),
        ended=sum(1 for one in wanted if ended[one] == 1),
        twice=sum(1 for one in wanted if received[one] > 1 or ended[one] > 1),
        missing=sum(1 for one in wanted if not received[one] or not ended[one]),
    )


def _valid(journal: KafkaJournal, partition: int) -> Iterator[JournalRecord]:
    standing = Validity()
    with closing(journal.read(partition, *journal.bounds(partition))) as batches:
        for batch in batches:
            for offset, value in batch:
                stored = judge(value, offset, standing)
                standing = stored.standing
                if stored.valid and stored.record is not None:
                    yield stored.record
