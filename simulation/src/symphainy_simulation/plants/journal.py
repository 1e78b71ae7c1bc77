"""Planted bugs around the journal: who may write, what counts, acting, the outbox, `state`."""

from __future__ import annotations

from typing import Any

from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner import letters
from symphainy_processors.owner.deciding import Deciding
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.publishing import Publishing
from symphainy_processors.owner.tasks import task_for
from symphainy_runtime.journal.validity import Validity, record_hash, takes_ownership
from symphainy_schemas.events import JournalRecord, StepDispatched
from symphainy_simulation.actors.ports import SimPort
from symphainy_simulation.plants.plant import Patch, Plant
from symphainy_simulation.world.state_topic import StatePartition


def _ignores_seq(original: Any) -> Any:
    def accept(self: Validity, record: JournalRecord, offset: int, value: bytes) -> Any:
        if not takes_ownership(record) and record.term == self.term:
            return Validity(self.term, record.seq, offset, record_hash(value))
        return original(self, record, offset, value)

    return accept


def _goes_on_after_gap(original: Any) -> Any:
    return lambda self, record: self


def _acts_at_once(original: Any) -> Any:
    def record(self: Any, *args: Any) -> int:
        offset: int = original(self, *args)
        pending = self._pending[-1]
        for state, dispatched, attributes in pending.dispatches:
            task = task_for(state, dispatched, attributes, self.partition, offset, self._skew_ms)
            self._port.send(task, lambda _: None)
        pending.dispatches = ()
        return offset

    return record


def _believes_every_acknowledgement(original: Any) -> Any:
    def appended(self: Any, offset: int | None, appended_at: int) -> None:
        if not self.lost:
            original(self, self._pending[0].applied.checkpoint.offset, appended_at)

    return appended


def _acted_to_the_end(original: Any) -> Any:
    return property(lambda self: self._acked)


def _sends_until_acknowledged(original: Any) -> Any:
    def send(self: Any, task: Any, sent: Any) -> None:
        original(self, task, lambda taken: sent(True) if taken else send(self, task, sent))

    return send


def _sends_the_same_again(original: Any) -> Any:
    def take_over(self: Any) -> None:
        self.dispatching.restore()
        for state, step in list(self.state.work.unsent(self.state.acted_to)):
            event = StepDispatched(
                step=step.step,
                attempt=step.attempt,
                delivery=step.delivery,
                token=step.token,
                start_by=step.start_by,
                timeout_ms=state.timeout_ms,
            )
            place = self.partition, step.dispatched_at
            task = task_for(state, event, b"", *place, self._options.skew_ms)
            self._port.send(task, lambda _: None)
        self._deciding.dispatch()

    return take_over


def _believes_takeovers(original: Any) -> Any:
    def apply(self: Any, record: JournalRecord, standing: Validity) -> Any:
        applied = original(self, record, standing)
        self.intents_next, self.steps_next = record.intents_next, record.steps_next
        return applied._replace(checkpoint=self._place(standing))

    return apply


def _settles_at_once(original: Any) -> Any:
    def record(self: Any, *args: Any) -> int:
        offset: int = original(self, *args)
        self._state.settle(self._pending[-1].applied)
        return offset

    return record


def _clock_as_it_is(original: Any) -> Any:
    return lambda self: self._world.now_ms()


def _passes_letters_at_once(original: Any) -> Any:
    def to_dead_letters(self: Any, taken: Any, error: Any) -> None:
        self._port.dead_letter(letters.of(taken, error, self._deciding.now()), lambda: None)
        self._lettered(taken)

    return to_dead_letters


def _never_fences(original: Any) -> Any:
    def begin(self: StatePartition, epoch: int, rows: Any) -> None:
        original(self, self.epoch, rows)

    return begin


def _commits_always(original: Any) -> Any:
    return lambda self, epoch: original(self, self.epoch)


def _aborts_nothing(original: Any) -> Any:
    def initialise(self: Any) -> int:
        self.epoch += 1
        return int(self.epoch)

    return initialise


def _forgets_failed_keys(original: Any) -> Any:
    def failed(self: Any, outcome: Any, now: int) -> None:
        self._under_way = {}
        original(self, outcome, now)

    return failed


def _sees_no_gap(original: Any) -> Any:
    def opened(self: Any, marker: Any) -> None:
        original(self, marker)
        self._missing = None

    return opened


def _asks_nobody(original: Any) -> Any:
    def opened(self: Any, marker: Any) -> None:
        self._open = True

    return opened


PLANTS = (
    Plant(
        "readers-ignore-seq",
        "2",
        "A reader takes every record of the newest term.",
        (Patch(Validity, "accept", _ignores_seq),),
    ),
    Plant(
        "reader-goes-on-after-gap",
        "2",
        "A reader takes what is next in sequence also after a gap.",
        (Patch(Validity, "after", _goes_on_after_gap),),
    ),
    Plant(
        "acts-before-acknowledgement",
        "3",
        "A task is sent when its dispatch is appended, not when it stands.",
        (Patch(Ledger, "record", _acts_at_once),),
    ),
    Plant(
        "doubt-is-ignored",
        "3",
        "Every append counts as acknowledged where it was counted for.",
        (Patch(Ledger, "_appended", _believes_every_acknowledgement),),
    ),
    Plant(
        "takeover-positions-believed",
        "6",
        "The positions in an OwnershipTaken count, although its writer knew less than the journal.",
        (Patch(PartitionState, "apply", _believes_takeovers),),
    ),
    Plant(
        "letter-passed-early",
        "7",
        "The position passes what cannot be read before its dead letter is acknowledged.",
        (Patch(OwnedPartition, "_to_dead_letters", _passes_letters_at_once),),
    ),
    Plant(
        "time-runs-back",
        "9",
        "A decision takes its owner's clock, whatever time was journaled before.",
        (Patch(Deciding, "now", _clock_as_it_is),),
    ),
    Plant(
        "outbox-forgotten",
        "11",
        "`acted_to` passes dispatches whose task is not acknowledged.",
        (Patch(Ledger, "acted_to", _acted_to_the_end),),
    ),
    Plant(
        "acted-to-not-held",
        "11",
        "`acted_to` moves with the first delivery of a takeover.",
        (Patch(Ledger, "hold_acted_to", lambda original: lambda self: None),),
    ),
    Plant(
        "same-delivery-sent-again",
        "12",
        "A takeover sends what may not have been sent under its old number.",
        (Patch(OwnedPartition, "take_over", _sends_the_same_again),),
    ),
    Plant(
        "doubt-sent-again",
        "12",
        "A task whose sending is in doubt is sent again under its old number.",
        (Patch(SimPort, "send", _sends_until_acknowledged),),
    ),
    Plant(
        "state-not-fenced",
        "16",
        "`state` is written without fencing, and nobody looks at the marker's term.",
        (
            Patch(StatePartition, "begin", _never_fences),
            Patch(StatePartition, "commit", _commits_always),
            Patch(StatePartition, "initialise", _aborts_nothing),
            Patch(Publishing, "_opened", _asks_nobody),
        ),
    ),
    Plant(
        "state-forgets-failed-keys",
        "16",
        "What a failed batch held is not written by the next one.",
        (Patch(Publishing, "_failed", _forgets_failed_keys),),
    ),
    Plant(
        "state-gap-not-filled",
        "16",
        "What changed between the last marker and the local checkpoint is never written.",
        (Patch(Publishing, "_opened", _sees_no_gap),),
    ),
    Plant(
        "speculation-flushed",
        "17",
        "The local store takes what is not acknowledged.",
        (Patch(Ledger, "record", _settles_at_once),),
    ),
)
