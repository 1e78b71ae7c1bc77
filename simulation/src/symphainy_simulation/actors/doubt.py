"""A worker that stood still asks the group before it starts anything, as the real one does."""

from __future__ import annotations

from collections.abc import Callable, Sized

from symphainy.worker.standing import Standing
from symphainy_simulation.world.process import Network, Process

STOPPED_S = 0.3  # a third of a session, as the real one's


class Doubt:
    """Whether one life of a worker may believe that its partitions are its own."""

    def __init__(
        self,
        process: Process,
        network: Network,
        known: Callable[[], bool],
        lost: Callable[[], None],
        go_on: Callable[[], None],
    ) -> None:
        """`known` is the coordinator's answer; at no, `lost`, and after either `go_on`."""
        self._process = process
        self._life = process.life
        self._network = network
        self._known = known
        self._lost = lost
        self._go_on = go_on
        self._standing = Standing(process.clock.monotonic, STOPPED_S)
        self._asking = False

    def resolved(self, held: Sized) -> bool:
        """Tell of a turn; false after one that came late, until the group has answered."""
        sure = self._standing.sure or not held
        asked = self._standing.asked()
        if sure:
            self._standing.confirm(asked)
        elif not self._asking:
            self._asking = True
            # On its way it does not stand still with its process.
            self._process.events.after(
                self._network.delay(self._process), lambda: self._arrive(asked)
            )
        return sure

    def _arrive(self, asked: float) -> None:
        if not self._network.reaches(self._process):
            self._network.once_reached(self._process, lambda: self._arrive(asked))
        elif self._process.life == self._life:
            known = self._known()
            delay = self._network.delay(self._process)
            self._process.later(delay, lambda: self._answered(asked, known=known))

    def _answered(self, asked: float, *, known: bool) -> None:
        self._asking = False
        if not known:
            self._lost()
        self._standing.confirm(asked)
        self._go_on()
