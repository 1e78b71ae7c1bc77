"""Sessions and ranges for `symphainy replay`: which records, and the states that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from symphainy_cli.backtest_options import moment
from symphainy_cli.progress import progress_after_a_second
from symphainy_processors.replay.documents import as_of, digest, events, state_document
from symphainy_processors.replay.history import At, History, Kept, fold_all, history
from symphainy_processors.replay.reading import JournalReader, in_journal
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.events import JournalRecord, SessionOpened
from symphainy_schemas.state import ExecutionState
from symphainy_transport.clock import SystemClock


class Range(NamedTuple):
    """A range of a partition as the command line states it."""

    partition: int
    from_offset: int | None
    to_offset: int | None
    since: str
    until: str


class OfSession(NamedTuple):
    """A session's records, and its executions' histories."""

    session_id: str
    partition: int
    records: list[Kept]
    executions: list[History]


def range_of(settings: RuntimeSettings, reader: JournalReader, asked: Range) -> tuple[int, int]:
    """The offsets [start, end).

    Raises:
        CallerError: `malformed_option`, `range_not_kept` or `empty_range`.
        Unavailable: Kafka did not answer.
    """
    p = asked.partition
    if p >= settings.partitions:
        raise CallerError(
            f"There is no partition {p}.",
            code="malformed_option",
            field="--partition",
            cure=f"They are 0 to {settings.partitions - 1}.",
        )
    if (asked.since or asked.until) and (asked.from_offset, asked.to_offset) != (None, None):
        raise CallerError(
            "A range is of offsets or of times.",
            code="malformed_option",
            field="--since",
            cure="State --from-offset and --to-offset, or --since and --until.",
        )
    low, high = reader.bounds(p)
    start = low if asked.from_offset is None else asked.from_offset
    end = high if asked.to_offset is None else asked.to_offset
    now = SystemClock().now_ms()
    if asked.since:
        start = max(low, reader.at_time(p, moment("--since", asked.since, now)))
    if asked.until:
        end = reader.at_time(p, moment("--until", asked.until, now))
    in_journal(p, (start, end), (low, high))
    return start, end


def of_tenant(tenant_id: str) -> Callable[[JournalRecord], bool]:
    """Whether a record is of the tenant; of any, if none is named."""

    def wanted(record: JournalRecord) -> bool:
        return tenant_id in ("", record.tenant_id)

    return wanted


def session_of(settings: RuntimeSettings, session_id: str, asked: At) -> OfSession:
    """All records of a session up to then.

    Raises:
        CallerError: `session_not_found`; `history_expired`, its beginning is gone; or the offset is
            not in the journal.
        Unavailable: Kafka did not answer.
    """
    known = ids.is_session_id(session_id)
    partition = ids.partition_of(session_id) if known else -1
    if not 0 <= partition < settings.partitions:
        raise _no_session(session_id)
    reader = JournalReader(settings)
    try:
        low, high = reader.bounds(partition)
        if asked.offset is not None:
            in_journal(partition, (asked.offset, high), (low, high), ("--at-offset", ""))
        end = high if asked.offset is None else asked.offset + 1

        def wanted(record: JournalRecord) -> bool:
            return record.session_id == session_id and bool(record.execution_id)

        with progress_after_a_second("looking for it", end - low) as progress:
            found = list(reader.scan(partition, low, end, wanted, progress))
    finally:
        reader.close()
    if asked.at is not None:
        found = [kept for kept in found if kept.record.at <= asked.at]
    if not found:
        raise _no_session(session_id)
    if not any(isinstance(event, SessionOpened) for event in found[0].record.events):
        raise CallerError(
            f"The first records of session {session_id} are no longer kept: what is kept of it "
            f"begins at offset {found[0].offset}.",
            code="history_expired",
            field="SESSION",
            cure="Ask an archive of the journal.",
        )
    return OfSession(session_id, partition, found, list(_apart(partition, found)))


def _apart(partition: int, found: Iterable[Kept]) -> Iterable[History]:
    by_execution: dict[str, list[Kept]] = {}
    for kept in found:
        by_execution.setdefault(kept.record.execution_id, []).append(kept)
    return (history(name, partition, records) for name, records in by_execution.items())


def session_events(found: OfSession) -> dict[str, Any]:
    """Its audit trail."""
    return {
        "mode": "events_only",
        "session_id": found.session_id,
        "partition": found.partition,
        "records": len(found.records),
        "events": list(events(found.partition, found.records)),
    }


def session_state(found: OfSession, asked: At) -> dict[str, Any]:
    """Its state, and that of each of its executions, as of then."""
    body = fold_all(found.records).get(found.session_id)
    return {
        "mode": "state_only",
        "session_id": found.session_id,
        "partition": found.partition,
        "asked": {"offset": asked.offset, "at": asked.at},
        "records": len(found.records),
        "state": None if body is None else state_document(body),
        "executions": [as_of(one, At()) for one in found.executions],
    }


def range_states(
    reader: JournalReader, partition: int, place: tuple[int, int], tenant_id: str
) -> dict[str, Any]:
    """The executions that a range tells of, as of its end. Read from the beginning of the journal:
    what a range leads to depends on what stood before."""
    start, end = place
    low, _ = reader.bounds(partition)
    named: dict[str, None] = {}

    def folding() -> Iterable[Kept]:
        with progress_after_a_second("folding", end - low) as progress:
            for kept in reader.scan(partition, low, end, of_tenant(tenant_id), progress):
                name = kept.record.execution_id
                if name and kept.offset >= start:
                    named[name] = None
                yield kept

    states = fold_all(folding())
    found = {name: states.get(name) for name in named}
    return {
        "mode": "state_only",
        "partition": partition,
        "from_offset": start,
        "to_offset": end,
        "executions": [
            {"state": state_document(body), "state_sha256": digest(body)}
            for body in found.values()
            if isinstance(body, ExecutionState)
        ],
        "expired": [name for name, body in found.items() if body is None],
    }


def _no_session(session_id: str) -> CallerError:
    return CallerError(
        f"The journal holds nothing of session {session_id[:80]!r} up to then.",
        code="session_not_found",
        field="SESSION",
        cure="Use the id as it was returned: ses-<partition>-<32 hex>.",
    )
