"""Validation over a real journal: gathers what a history is held against, and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from typing import Any

import msgspec

from symphainy_processors.admission import control, governing
from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_processors.replay.history import History
from symphainy_processors.replay.ordering import Standing
from symphainy_processors.replay.reading import CLIENT, JournalReader
from symphainy_processors.replay.recordings import require_ended
from symphainy_processors.replay.validating import FORMAT, Evidence, InForce, validate
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.journal.chain import Chain, JournalTampered
from symphainy_runtime.journal.standing import LOOK_BACK
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.policy.recorded import Reads
from symphainy_schemas.codec import decode
from symphainy_schemas.events import PolicyActivated
from symphainy_schemas.records import PLATFORM, Error, Intent
from symphainy_schemas.state import State
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import STATE, Topics


class Shown:
    """What the read model holds of an execution; None where it does not, or was not asked."""

    def __init__(
        self,
        document: Mapping[str, Any] | None = None,
        events: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.document = document
        self.events: list[tuple[int, int, str]] | None = None
        if events is not None:
            self.events = [(one["offset"], one["index"], one["type"]) for one in events]


class Validator:
    """Validates executions. One call at a time; owns its consumers."""

    def __init__(self, settings: TransportSettings) -> None:
        """Connect lazily."""
        self._settings = settings
        self._reader = JournalReader(settings)

    def report(
        self, history: History, configuration: Configuration, shown: Shown, at_ms: int
    ) -> dict[str, Any]:
        """The report on an execution that has ended; `at_ms` is when it is made.

        Raises:
            CallerError: `execution_running`.
            Unavailable: Kafka did not answer.
        """
        require_ended(history)
        in_force, chain, chained = self._around(history)
        evidence = Evidence(
            configuration=configuration,
            reads=Reads(target_of, scope_of),
            in_force=in_force,
            chain=chain,
            chained=chained,
            state=self._state(history),
            shown=shown.document,
            shown_events=shown.events,
        )
        checks = [
            {"name": one.name, "standing": one.standing.value, **msgspec.to_builtins(one)}
            for one in validate(history, evidence)
        ]
        standings = {one["standing"] for one in checks}
        first = history.records[0].record
        return {
            "format": FORMAT,
            "execution_id": history.execution_id,
            "tenant_id": first.tenant_id,
            "session_id": first.session_id,
            "valid": Standing.FAILED not in standings,
            "complete": Standing.UNKNOWN not in standings,
            "made_at": at_ms,
            "journal": {
                "partition": history.partition,
                "first_offset": history.first,
                "last_offset": history.last,
                "records": [
                    {
                        "offset": kept.offset,
                        "at": kept.record.at,
                        "sha256": sha256(kept.value).hexdigest(),
                    }
                    for kept in history.records
                ],
            },
            "checks": checks,
        }

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def _around(self, history: History) -> tuple[InForce, list[str], int]:
        """What was in force at its admission, and what is wrong with the chain over its records."""
        p, tenant_id = history.partition, history.records[0].record.tenant_id
        low, _ = self._reader.bounds(p)
        active: dict[str, tuple[int, bytes]] = {}
        chain, before = Chain(p), Validity()
        faults: list[str] = []
        known = {kept.offset: kept.value for kept in history.records}
        chained = 0
        begin = max(low, history.first - LOOK_BACK)
        for kept in self._reader.scan(p, begin, history.last + 1, lambda _: True):
            if kept.offset < history.first:
                for event in kept.record.events:
                    if isinstance(event, PolicyActivated) and event.scope in (PLATFORM, tenant_id):
                        active[event.scope] = event.version, event.sha256
            try:
                chain.follow(kept.record, kept.offset, before)
            except JournalTampered as error:
                faults.append(error.message)
            before = _standing(kept.record.term, kept.record.seq, kept.offset, kept.value)
            if kept.offset >= history.first:
                chained += 1
                if known.pop(kept.offset, kept.value) != kept.value:
                    faults.append(f"offset {kept.offset} was read twice, and is not the same")
        faults += [f"offset {offset} does not count, or is gone" for offset in known]
        in_force = InForce(active.get(PLATFORM), active.get(tenant_id), begin == 0)
        return in_force, faults, chained

    def _state(self, history: History) -> State | None:
        """What `state` holds of it: the newest one of its key, read from the compacted topic."""
        key = history.execution_id.encode()
        reader = RangeReader(
            self._settings, CLIENT, Topics(self._settings.topic_prefix).name(STATE)
        )
        found: bytes | None = None
        try:
            p = history.partition
            with closing(reader.read(p, *reader.bounds(p))) as batches:
                for batch in batches:
                    for message in batch:
                        if message.key() == key:
                            found = message.value()
        finally:
            reader.close()
        return decode(found, State) if found else None


def _standing(term: int, seq: int, offset: int, value: bytes) -> Validity:
    return Validity(term, seq, offset, sha256(value).digest())


def target_of(intent: Intent) -> str | None:
    """The execution of which a control intent asks something, as admission reads it."""
    asked = control.asked_by(intent)
    return None if asked is None else asked.execution_id


def scope_of(intent: Intent) -> str:
    """What an intent that governs would govern, as admission reads it."""
    asked = governing.asked_by(intent)
    return "" if isinstance(asked, Error) else asked.scope
