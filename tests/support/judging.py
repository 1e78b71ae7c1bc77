"""A partition's history without an owner: the real admission, fold and writer, and what policy was
asked at each intent, so that a backtest of its records can be held against the facts themselves.
"""

from __future__ import annotations

import os
import signal

from msgspec import Struct

from symphainy_processors.admission import control, governing
from symphainy_processors.admission.control import Target
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.fold.partition import PartitionState
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.recorded import Reads
from symphainy_schemas import ids
from symphainy_schemas.events import JournalRecord, Position
from symphainy_schemas.records import Error, Intent, PolicyDecision
from symphainy_transport.topics import DAY_MS

NOON = 1_780_000_000_000
"""When the history begins, ms since the epoch."""


def target_of(intent: Intent) -> str | None:
    """As admission reads it."""
    asked = control.asked_by(intent)
    return None if asked is None else asked.execution_id


def scope_of(intent: Intent) -> str:
    """As admission reads it."""
    asked = governing.asked_by(intent)
    return "" if isinstance(asked, Error) else asked.scope


def killer(intent: Intent) -> str | None:
    """In place of `target_of`: whoever asks is killed, as by a kernel that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return intent.intent_id


READS = Reads(target_of, scope_of)


class Asked(Struct):
    """What policy was asked at an offset, and what it said."""

    offset: int
    facts: Facts
    decision: PolicyDecision


class History:
    """One partition's journal, as an owner writes it."""

    def __init__(self, policies: Policies, governing_policies: Policies | None = None) -> None:
        """`governing_policies` decide what governs; by default the same."""
        self.policies, self._governing = policies, governing_policies or policies
        self.state = PartitionState(7 * DAY_MS)
        self.records: list[tuple[int, JournalRecord]] = []
        self.values: list[bytes] = []
        self.asked: list[Asked] = []
        self._now = NOON
        self.take_over()

    def take_over(self) -> None:
        """A new owner's term begins."""
        before = self.state.settled.standing if self.values else Validity()
        value = ownership_taken("test", self._now, before, Positions(self.state.intents_next), -1)
        self.values.append(value)
        stored = judge(value, len(self.values) - 1, before)
        assert stored.record is not None
        self.records.append((stored.offset, stored.record))
        self.state.settle(self.state.apply(stored.record, stored.standing))
        self._writer = JournalWriter(stored.standing, before)

    def pass_time(self, ms: int) -> None:
        """Time passes."""
        self._now += ms

    def execution(self, intent: Intent) -> str:
        """The id of an intent's execution."""
        return ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, 0)

    def state_intent(self, intent: Intent) -> None:
        """Decide and record an intent."""
        self._now += 1_000
        now, offset = self._now, len(self.values)
        session = self.state.session(intent.session_id)
        asked = control.asked_by(intent)
        named = None if asked is None else self.state.execution(asked.execution_id)
        target = None
        if asked is not None and named is not None:
            target = Target(named, asked.event, False, True)

        def decide() -> PolicyDecision:
            facts = Facts(intent, now, None, session, named)
            policies = self.policies
            if intent.intent_type in GOVERNANCE:
                policies, facts = self._governing, Facts(intent, now, scope=scope_of(intent))
            decision = policies.decide(facts)
            self.asked.append(Asked(offset, facts, decision))
            return decision

        execution_id = self.execution(intent)
        known = Known(
            partition=0,
            execution=self.state.execution(execution_id, now),
            session=session,
            target=target,
            tenant_exists=True,
            governed=(lambda: governing.Standing(partition=0, exists=True))
            if intent.intent_type in GOVERNANCE
            else None,
            decide=decide,
            capability=None,
            contract=None,
        )
        place = self.state.intents_next
        heading = Heading(
            cause=Position("intents", 0, place),
            tenant_id=intent.tenant_id,
            session_id=intent.session_id,
            execution_id=execution_id,
            correlation_id=intent.correlation_id,
        )
        events = admit(intent, known)
        record, value = self._writer.write(now, heading, events, Positions(place + 1), -1)
        self.values.append(value)
        self.records.append((offset, record))
        standing = self._writer.standing(offset)
        self.state.settle(self.state.apply(record, standing))
