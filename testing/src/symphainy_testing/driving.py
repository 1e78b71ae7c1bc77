"""Lets a realm under test go on: until nothing happens any more, or until a moment.

Time passes here and nowhere else, and only while nothing is left to do without it. So what happens
at a moment is done before the next one, in the same order in every run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from symphainy_testing.owner import Owner, due
from symphainy_testing.time import VirtualTime
from symphainy_testing.worker import Worker

# A handler that starts waits and steps side by side does so within a few turns of the loop; one
# that has not been heard of for so many stands still.
_STILL_TURNS = 20
# Far more than anything that comes by itself at one moment.
_ROUNDS_AT_ONE_MOMENT = 10_000


class Driver:
    """Drives owner and workers; one caller at a time."""

    def __init__(
        self, owner: Owner, time: VirtualTime, changed: asyncio.Event, patience_s: float
    ) -> None:
        """`changed` is set by whatever a handler does; for `patience_s` of real time it may do
        nothing."""
        self.owner = owner
        self.workers: Sequence[Worker] = ()
        self.left: list[str] = []
        """Executions whose handlers are not waited for."""
        self._broken: list[BaseException] = []
        self._time = time
        self._changed = changed
        self._patience_s = patience_s
        self._driving = False

    def broke(self, error: BaseException) -> None:
        """A worker's own code has failed: whoever drives is told."""
        self._broken.append(error)
        self._changed.set()

    async def settle(self) -> None:
        """Go on until nothing more happens without time passing.

        Raises:
            AssertionError: a handler does nothing for too long.
            RuntimeError: somebody drives already, or nothing was started.
        """
        if not self.workers:
            raise RuntimeError("No worker runs: write `async with Harness(…) as harness:`.")
        if self._driving:
            raise RuntimeError(
                "Only one call at a time moves a harness on: await one after the other, and call "
                "none from a handler. To have several executions at once, submit them with "
                'until="accepted".'
            )
        self._driving = True
        try:
            await self._settle()
        finally:
            self._driving = False

    async def _settle(self) -> None:
        still = 0
        while True:
            self._changed.clear()
            moved = self.owner.turn()
            for worker in self.workers:
                moved |= worker.take()
            if self._broken:
                raise self._broken[0]
            if moved:
                still = 0
            busy = sum(worker.busy(self.left) for worker in self.workers)
            if still < _STILL_TURNS:
                if not moved and not busy and not self._anybody_runs():
                    return
                still += 1
                await asyncio.sleep(0)
            elif self._time.end_pauses():
                still = 0
            elif busy:
                await self._news()
                still = 0
            else:
                return

    def _anybody_runs(self) -> bool:
        return bool(self.left) or any(worker.hangs for worker in self.workers)

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"A handler has done nothing for {self._patience_s:g} s of real time. If it is to "
                'hang, plan that with harness.hang(…), or submit it with until="started"; if it '
                "only takes that long, give the harness more patience."
            ) from None

    async def go_to(self, moment: int) -> None:
        """Let time pass until `moment`, ms since the epoch; all that is due by then happens at its
        own moment."""
        await self.settle()
        rounds, last = 0, -1
        while (at := self._next()) is not None and at <= moment:
            at = max(at, self._time.now)
            rounds = rounds + 1 if at == last else 0
            last = at
            if rounds > _ROUNDS_AT_ONE_MOMENT:
                raise AssertionError("Something is due again and again at one moment.")
            self._time.go_to(at)
            await self.settle()
        self._time.go_to(moment)
        await self.settle()

    def _next(self) -> int | None:
        """When anything next happens by itself."""
        return _first(*(due(state) for state in self.owner.live()), self._time.next_alarm())

    async def drive(self, execution_id: str, done: Callable[[], bool]) -> bool:
        """Go on until `done`, letting as much time pass as the execution needs.

        False if nothing can happen any more that would bring it there.
        """
        await self.settle()
        while not done():
            own = _first(*(due(state) for state in self.owner.family(execution_id)))
            hangs = any(worker.hangs for worker in self.workers)
            at = _first(own, self._time.next_alarm() if hangs else None)
            if at is None:
                return False
            await self.go_to(max(at, self._time.now))
        return True


def _first(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)
