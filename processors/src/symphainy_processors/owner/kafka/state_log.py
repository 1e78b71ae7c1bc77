"""The `state` topic on Kafka: what blocks is done by one thread, the owner's loop only asks.

A partition's life begins with `open` and ends with `stop`. What belongs to a life that has ended is
given up as soon as the thread notices, and its outcome is told to nobody.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue

from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_processors.owner.kafka.state_writer import Abandoned, StateWriter
from symphainy_processors.owner.ports import StateBatch, StateFailed, StateOutcome
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import STATE, Topics

log = logging.getLogger(__name__)
CLOSE_S = 2.0  # the thread looks up at least twice a second


@dataclass(frozen=True, slots=True)
class _Job:
    """Something to do for one life of a partition: write `batch`, or open without one."""

    partition: int
    life: int
    batch: StateBatch | None = None


class KafkaStateLog:
    """Implements `ports.StateLog`."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        """Connect lazily."""
        topic = Topics(settings.topic_prefix).name(STATE)
        self._ranges = RangeReader(settings, client_id, topic)
        self._writer = StateWriter(settings, client_id)
        self._numbers = itertools.count()
        self._lives: dict[int, int] = {}
        self._jobs: SimpleQueue[_Job | int | None] = SimpleQueue()  # an int: that partition stops
        self._outcomes: SimpleQueue[tuple[_Job, StateOutcome]] = SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=client_id, daemon=True)
        self._thread.start()

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        return self._ranges.bounds(partition)

    def read(self, partition: int) -> Generator[Sequence[tuple[bytes, bytes | None]], None, None]:
        """Every committed record up to the end as of now, oldest first, in batches; an empty one:
        nothing yet.

        Raises:
            Unavailable: Kafka did not answer, nothing has come for long, or the range is no longer
                kept.
        """
        low, end = self._ranges.bounds(partition)
        with closing(self._ranges.read(partition, low, end)) as batches:
            for batch in batches:
                yield [
                    (key, message.value())
                    for message in batch
                    if (key := message.key()) is not None
                ]

    def open(self, partition: int) -> None:
        """Begin to fence off older writers; `poll` tells when that is done, or failed."""
        if partition not in self._lives:
            self._lives[partition] = next(self._numbers)
        self._jobs.put(_Job(partition, self._lives[partition]))

    def write(self, partition: int, batch: StateBatch) -> None:
        """Begin to write one batch as one transaction; `poll` tells the outcome."""
        self._jobs.put(_Job(partition, self._lives[partition], batch))

    def poll(self) -> Sequence[StateOutcome]:
        """What has come about since the last call."""
        found: list[StateOutcome] = []
        while not self._outcomes.empty():
            job, outcome = self._outcomes.get()
            if not self._over(job):
                found.append(outcome)
        return found

    def stop(self, partition: int) -> None:
        """Forget the partition; what is under way may still be committed."""
        if self._lives.pop(partition, None) is not None:
            self._jobs.put(partition)

    def close(self) -> None:
        """Give up what is under way, and disconnect."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join(CLOSE_S)
        self._ranges.close()

    # --- the thread -----------------------------------------------------------------------------

    def _over(self, job: _Job) -> bool:
        return self._closing or self._lives.get(job.partition) != job.life

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, int):
                self._writer.drop(job)
                continue
            try:
                outcome = self._do(job)
            except Abandoned:
                continue
            except Exception as error:
                log.exception("state of partition %d", job.partition)
                self._writer.drop(job.partition)
                outcome = StateFailed(job.partition, overtaken=False, reason=str(error))
            finally:
                if job.batch is not None:
                    job.batch.store.release()
            self._outcomes.put((job, outcome))
        self._writer.close()

    def _do(self, job: _Job) -> StateOutcome:
        if job.batch is None:
            return self._writer.open(job.partition, lambda: self._over(job))
        return self._writer.write(job.partition, job.batch, lambda: self._over(job))
