"""The `state` topic as an owner writes it: by a thread beside its loop, in fenced transactions."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from random import Random

from symphainy_processors.owner.ports import (
    MARKER_KEY,
    StateBatch,
    StateFailed,
    StateOpened,
    StateOutcome,
    StateWritten,
)
from symphainy_processors.owner.rows import read_row, rows
from symphainy_schemas.errors import Unavailable
from symphainy_simulation.actors.ports import BATCHES, Host
from symphainy_simulation.world.events import MS, Event
from symphainy_simulation.world.state_topic import Fenced, Row, StatePartition

ANSWER_US = 600 * MS


class StateFaults:
    """What goes wrong with the writing of one process; the runner sets it."""

    def __init__(self) -> None:
        self.slow_us = 0
        """How much longer each step takes."""
        self.failing: list[str] = []
        """For each of the next batches: `fails`, `commits untold`, or nothing."""


class SimStateLog:
    """Implements `ports.StateLog`."""

    def __init__(self, host: Host, topic: dict[int, StatePartition], faults: StateFaults) -> None:
        self._host = host
        self._topic = topic
        self._faults = faults
        process = host.process
        self._chance: Random = host.universe.stream(f"state/{process.name}/{process.life}")
        self._outcomes: deque[StateOutcome] = deque()
        self._epochs: dict[int, int] = {}
        self._turns: dict[int, int] = {}

    def read(self, partition: int) -> Generator[Sequence[Row], None, None]:
        """Every committed record up to the end as of now."""
        visible = self._topic[partition].visible()
        at = 0
        while at < len(visible):
            self._host.call()
            if not self._host.universe.network.reaches(self._host.process):
                raise Unavailable("Kafka did not answer.")
            size = self._chance.choice((0, *BATCHES))
            yield visible[at : at + size]
            at += size

    def open(self, partition: int) -> None:
        """Fence off older writers, then read the last marker."""
        self._host.call()
        turn = self._turns[partition] = self._turns.get(partition, 0) + 1

        def opened() -> None:
            state = self._topic[partition]
            self._epochs[partition] = state.initialise()
            marker = next((v for k, v in reversed(state.visible()) if k == MARKER_KEY), None)
            found = None if marker is None else read_row(marker)
            self._tell(partition, turn, StateOpened(partition, found))

        def failed() -> None:
            self._tell(partition, turn, StateFailed(partition, False, "no answer"))

        self._step(opened, failed)

    def write(self, partition: int, batch: StateBatch) -> None:
        """One batch as one transaction."""
        self._host.call()
        turn = self._turns.get(partition, 0)
        epoch = self._epochs.get(partition, -1)
        written = list(rows(batch))
        batch.store.release()
        state = self._topic[partition]
        how = self._faults.failing.pop(0) if self._faults.failing else ""

        def fails(reason: str, *, overtaken: bool = False) -> None:
            state.abort(epoch)
            self._tell(partition, turn, StateFailed(partition, overtaken, reason))

        def begin() -> None:
            try:
                state.begin(epoch, written)
            except Fenced:
                fails("fenced", overtaken=True)
                return
            if how == "fails":
                self._step(lambda: fails("aborted"), lambda: fails("no answer"))
            else:
                self._step(commit, lambda: fails("no answer"))

        def commit() -> None:
            try:
                state.commit(epoch)
            except Fenced:
                fails("fenced", overtaken=True)
                return
            if how == "commits untold":
                self._step(lambda: fails("no answer to the commit"), lambda: fails("no answer"))
            else:
                told = StateWritten(partition)
                self._step(
                    lambda: self._tell(partition, turn, told),
                    lambda: self._tell(partition, turn, told),
                )

        self._step(begin, lambda: fails("no answer"))

    def poll(self) -> Sequence[StateOutcome]:
        """What has come about."""
        self._host.call()
        found, self._outcomes = list(self._outcomes), deque()
        return found

    def stop(self, partition: int) -> None:
        """Forget the partition; what is under way goes on."""
        self._host.call()
        self._turns[partition] = self._turns.get(partition, 0) + 1
        self._outcomes = deque(o for o in self._outcomes if o.partition != partition)

    def _step(self, then: Event, unanswered: Event) -> None:
        """The thread's next step, after a while; it waits for an answer, but not for ever."""
        process, network = self._host.process, self._host.universe.network
        us = 2 * network.delay(process) + self._chance.randrange(5 * MS) + self._faults.slow_us
        done: list[bool] = []

        def answered() -> None:
            if not done:
                done.append(True)
                then()

        def give_up() -> None:
            if not done:
                done.append(True)
                unanswered()

        def ask() -> None:
            if network.reaches(process):
                answered()
                return
            network.once_reached(process, lambda: process.later(0, answered))
            process.later(ANSWER_US, give_up)

        process.later(us, ask)

    def _tell(self, partition: int, turn: int, outcome: StateOutcome) -> None:
        if self._turns.get(partition, 0) == turn:
            self._outcomes.append(outcome)
            self._host.wake()
