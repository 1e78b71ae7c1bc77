"""The owner's loop: who owns, what comes in, what is due, what was acknowledged.

One thread drives everything, so a partition is never touched by two. Latency comes from never
waiting on one side while the other has something: with appends in flight the wait is on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from symphainy_processors.owner.figures import Figures
from symphainy_processors.owner.holding import Holding
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.pace import Pace
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Input, Ports
from symphainy_schemas.errors import OperatorError

log = logging.getLogger(__name__)
IDLE_WAIT_S = 0.02  # also the timers' resolution
# An input waits at most this while acknowledgements are awaited. librdkafka counts in whole
# milliseconds: less would be 0, a loop that burns a core while anything is in flight.
IN_FLIGHT_WAIT_S = 0.001
BATCH = 500  # one turn's inputs, about 50 ms of decisions
# While more is due than a tick fires, a turn takes fewer, so that half of its time is the timers'.
# Not less: with 100, what workers report waited, and others' intents with it, for as long as one
# tenant's timers were more than this owner can fire.
BESIDE_DUE = 250
BEHIND_LETTERS = 10_000  # inputs that wait in memory for a dead letter's acknowledgement


class Owner:
    """Owns the partitions that the group gives it."""

    def __init__(self, name: str, ports: Ports, options: OwnerOptions) -> None:
        """`name` is unique and stable: it names the member, and the local state."""
        self._clock = ports.clock
        self._world = ports.world
        self._port = ports.port
        self._intake = ports.intake
        self._options = options
        self._membership = ports.membership(self._revoked)
        self._holding = Holding(name, ports, options, self._membership.poll)
        self._housekept = 0.0
        self._more_due = False
        self._announced: frozenset[int] = frozenset()
        self._pace = Pace()
        self._stopping = False

    @property
    def owned(self) -> frozenset[int]:
        """The partitions under a term of ours."""
        return frozenset(self._holding.owned)

    @property
    def partitions(self) -> Mapping[int, OwnedPartition]:
        """Them."""
        return self._holding.owned

    @property
    def figures(self) -> Figures:
        """What happened since the start."""
        return self._holding.figures

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping = True

    def run(self, on_ready: Callable[[frozenset[int]], None] | None = None) -> None:
        """Own until `stop`; `on_ready` hears of every change in what is owned.

        Raises:
            OperatorError: another process has our name.
            Unavailable: a client is broken for good; only a new process helps.
        """
        try:
            while not self._stopping:
                self.turn()
                if on_ready is not None and self.owned != self._announced:
                    self._announced = self.owned
                    on_ready(self.owned)
        finally:
            self.close()

    def turn(self) -> None:
        """One pass: what is due, a slice of a takeover, what has come in, what was acknowledged."""
        now = self._clock.monotonic()
        if self._more_due or now - self._housekept >= self._options.housekeeping_ms / 1_000:
            self._housekept = now
            self._world.refresh()
            self._more_due = self._holding.housekeep(self._membership.poll())
        taking = self._holding.take_over_a_slice()
        self._take_in(taking or self._more_due)

    def close(self) -> None:
        """Hand everything over, and leave."""
        self._holding.hand_over(self.owned)
        self._holding.close()
        self._membership.close()

    def _revoked(self, partitions: frozenset[int]) -> None:
        self._holding.hand_over(partitions & self.owned)

    # --- inputs ---------------------------------------------------------------------------------

    def _take_in(self, busy: bool) -> None:
        waiting = len(self._port)
        if waiting > self._options.max_in_flight or self._behind_letters():
            self._port.serve(IDLE_WAIT_S)
            return
        most = BESIDE_DUE if self._more_due else BATCH
        inputs = self._poll(0.0 if waiting or busy else IDLE_WAIT_S, most)
        if not inputs:
            self._port.serve(IN_FLIGHT_WAIT_S if waiting and not busy else 0.0)
            return
        self._port.next_turn()
        for taken in inputs:
            self._holding.take(taken)
        self._pace.turned(waiting + len(inputs))
        self._port.gather(0.0 if busy else self._pace.pause_s)

    def _poll(self, timeout_s: float, most: int) -> Sequence[Input]:
        try:
            return self._intake.poll(timeout_s, most)
        except OperatorError as error:
            # Whether anything is lost shows when they are taken again; that one then stops alone:
            # an owner that slept may only not know yet that others went on.
            log.warning("everything is taken again: %s", error)
            self._holding.drop_all()
            return ()

    def _behind_letters(self) -> bool:
        return sum(owned.backlog for owned in self.partitions.values()) > BEHIND_LETTERS
