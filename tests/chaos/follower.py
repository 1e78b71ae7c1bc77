"""Follows the journal while it grows: how much was decided, what is still open, is all quiet."""

from __future__ import annotations

from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas import events as e
from symphainy_schemas.events import JournalRecord
from symphainy_simulation.checking.lives import ENDS
from symphainy_simulation.checking.reading import ClusterReader
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS


class Follower:
    """A reader of every partition's journal. Not safe to use from two threads."""

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader
        partitions = range(reader.partitions)
        self._reached = dict.fromkeys(partitions, 0)
        self._standing = dict.fromkeys(partitions, Validity())
        self._last: dict[int, JournalRecord] = {}
        self.open: set[str] = set()
        self.received = self.ended = self.repeated = self.decisions = self.terms = 0

    def follow(self) -> dict[tuple[str, int], int]:
        """Read what is new; the ends of all topics, taken before.

        Raises:
            Unavailable: Kafka did not answer.
        """
        ends = self._reader.ends()
        for p, reached in self._reached.items():
            end = ends.get((JOURNAL, p), 0)
            for written in self._reader.read(JOURNAL, p, reached, end):
                stored = judge(written.value or b"", written.offset, self._standing[p])
                self._standing[p] = stored.standing
                if stored.valid and stored.record is not None:
                    self._last[p] = stored.record
                    self._take(stored.record)
            self._reached[p] = end
        return ends

    def _take(self, record: JournalRecord) -> None:
        self.decisions += 1
        for event in record.events:
            if isinstance(event, e.OwnershipTaken):
                self.terms += 1
            elif isinstance(event, e.IntentReceived):
                self.received += 1
                self.open.add(record.execution_id)
            elif isinstance(event, e.IntentRepeated):
                self.repeated += 1
            elif isinstance(event, ENDS):
                self.ended += 1
                self.open.discard(record.execution_id)

    def unrest(self, ends: dict[tuple[str, int], int]) -> str:
        """What is still under way as of `ends`; empty if all is quiet."""
        if self.open:
            some = ", ".join(sorted(self.open)[:3])
            return f"{len(self.open)} executions have not ended: {some}"
        for p, reached in self._reached.items():
            last = self._last.get(p)
            positions = (0, 0) if last is None else (last.intents_next, last.steps_next)
            wanted = (ends[INTENTS, p], ends[STEPS, p])
            if positions != wanted:
                return f"partition {p} stands at {positions} of {wanted}"
            if reached != ends[JOURNAL, p]:
                return f"partition {p}'s journal grows"
        return ""
