"""Replays that call no handler: what gateway and command line answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symphainy_processors.replay.documents import as_of, audit_trail
from symphainy_processors.replay.history import At, History, expired, history
from symphainy_processors.replay.reading import JournalReader, Progress, in_journal
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.events import JournalRecord
from symphainy_transport.settings import TransportSettings

EVENTS_ONLY = "events_only"
STATE_ONLY = "state_only"
FULL = "full"
MODES = (EVENTS_ONLY, STATE_ONLY, FULL)


class Replayer:
    """Reads histories of executions and answers with them. One call at a time."""

    def __init__(self, settings: TransportSettings) -> None:
        """Connect lazily."""
        self._reader = JournalReader(settings)

    def by_places(self, execution_id: str, offsets: Sequence[int]) -> History:
        """The history whose records stand at known places.

        Raises:
            CallerError: `history_expired`; a part of it is no longer kept.
            Unavailable: Kafka did not answer.
        """
        partition = ids.partition_of(execution_id)
        found = self._reader.at(partition, offsets)
        kept = [one for one in found if one.record.execution_id == execution_id]
        if len(kept) < len(set(offsets)):
            low, _ = self._reader.bounds(partition)
            raise expired(execution_id, kept[0].offset if kept else low)
        return history(execution_id, partition, kept)

    def by_search(self, execution_id: str, start: int, progress: Progress) -> History:
        """The history as a look through the journal from `start` on finds it.

        Raises:
            CallerError: `execution_not_found` or `history_expired`.
            Unavailable: Kafka did not answer.
        """
        partition = ids.partition_of(execution_id)
        low, high = self._reader.bounds(partition)

        def wanted(record: JournalRecord) -> bool:
            return record.execution_id == execution_id

        found = self._reader.scan(partition, max(low, start), high, wanted, progress)
        return history(execution_id, partition, found)

    def with_rest(self, known: History, progress: Progress) -> History:
        """A history with what was recorded since of an execution that had not ended then: the read
        model, which knows the places, may be behind.

        Raises:
            Unavailable: Kafka did not answer.
        """
        *_, last = known.moments()
        if last.state.status.ended:
            return known
        partition, name = known.partition, known.execution_id
        _, high = self._reader.bounds(partition)

        def wanted(record: JournalRecord) -> bool:
            return record.execution_id == name

        rest = self._reader.scan(partition, known.last + 1, high, wanted, progress)
        return history(name, partition, (*known.records, *rest))

    def size(self, execution_id: str) -> int:
        """How many records a search looks through."""
        low, high = self._reader.bounds(ids.partition_of(execution_id))
        return high - low

    def check(self, partition: int, asked: At) -> None:
        """Raises `CallerError` (`range_not_kept`) if the offset asked for is not in the journal."""
        if asked.offset is not None:
            low, high = self._reader.bounds(partition)
            in_journal(partition, (asked.offset, high), (low, high), ("at_offset", ""))

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()


def answer(found: History, mode: str, asked: At) -> dict[str, Any]:
    """What a replay without handlers answers.

    Raises:
        CallerError: `before_execution`; `unknown_mode`.
    """
    if mode == STATE_ONLY:
        return as_of(found, asked)
    if mode != EVENTS_ONLY:
        raise CallerError(
            f"{mode[:40]!r} is no mode of a replay that calls no handler.",
            code="unknown_mode",
            field="mode",
            cure=f"Use {EVENTS_ONLY} or {STATE_ONLY}.",
        )
    then = found if asked == At() else found.upto(asked)
    return audit_trail(then)
