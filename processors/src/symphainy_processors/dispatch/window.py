"""How many tasks of a realm may be outstanding: a window opened by completions, sized by delay.

The delay is how long a task lay with a worker before a slot was free, where no fairness reaches it
any more; the worker measures it on its own clock. The window holds its mean near a target. The way
there and back is no delay: a broker that is slow for a while closes no window. If a worker does not
tell, all the time between dispatch and start counts.

The control is that of delay-based congestion control, on tasks instead of packets:

- It doubles a round trip while the delay is well below the target (slow start; Jacobson,
  "Congestion Avoidance and Control", SIGCOMM 1988; left before it overshoots, as HyStart does, RFC
  9406), and only if it was full (congestion window validation, RFC 7661).
- Delay above the target shrinks it to what by Little's law would meet the target, size × (trip +
  target) / (trip + queued) with trip = run and way, at most by half: FAST TCP's update (Wei, Jin,
  Low, Hegde, IEEE/ACM ToN 14(6), 2006), as Netflix's concurrency-limits (Gradient2) applies it to
  requests.
- Then it grows by √size a round (Gradient2's queue allowance), so that the windows of many
  owners over the same workers come to equal shares; and doubles that step after every round
  with little delay, so that new workers are soon found.
- One change a round trip, and only what was sent after the last change bears on the next (Swift,
  SIGCOMM 2020, and NewReno's recovery point, RFC 6582).
- The target is a fixed one, as Swift's: all owners before the same workers see the same queue.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple


class Waits(NamedTuple):
    """What one task tells of itself, ms; None: nobody knows."""

    waited_ms: float | None = None  # between its dispatch and its start, the way back included
    queued_ms: float | None = None  # of it, with the worker
    ran_ms: float | None = None


class Sizes(NamedTuple):
    """What a window stays within, in tasks."""

    floor: int = 1
    # Before anything is known: what a flood sends at once to workers with fewer slots waits there,
    # and it doubles each round trip.
    start: int = 16
    # 10,000 tasks of 1 KB are 10 MB in a realm's topic, and as many seconds of work as workers
    # can be expected to share: far above what one owner dispatches in a round trip.
    ceiling: int = 10_000


# Above what a worker's loop and its reads take, so that these do not close the window; below what
# anybody notices.
TARGET_MS = 25.0
# Beside a long run a long wait costs nobody anything, and one task more than workers is a wait of
# run / workers: a tenth keeps up to ten of them from swinging.
TARGET_OF_RUN = 0.1
SLIGHT = 0.5  # of the delay aimed at: below it there is room to find out how much more goes
MOST_SHRINK = 0.5
# A round is a window of answers, at most so many: enough to tell a mean.
ENOUGH = 256
# Half empty for a minute: what was learned of the workers may not hold when the next flood comes.
STALE_MS = 60_000
# A longer one would tell of an outage, not of the way.
LONGEST_WAY_MS = 1_000.0
_RUN_SMOOTHING = 0.05  # twenty tasks to believe in other run times


class Window:
    """The window of one realm. `size` is how many tasks may be outstanding."""

    __slots__ = (
        "_blanks",
        "_count",
        "_exact",
        "_filled",
        "_filled_at",
        "_mark",
        "_queued",
        "_ran",
        "_sent",
        "_sizes",
        "_step",
        "_way",
        "size",
    )

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self.size = sizes.start
        self._exact = self._step = float(sizes.start)
        self._ran = 0.0
        self._sent = self._mark = 0
        self._filled = False
        self._filled_at: int | None = None
        self._blanks = 0
        self._new_round()

    def sent(self, outstanding: int) -> int:
        """A task goes, as the last of `outstanding`. Returns its number, from 1."""
        self._sent += 1
        if outstanding >= self.size:
            self._filled = True
        return self._sent

    def restored(self, outstanding: int) -> None:
        """A task counts among `outstanding` that was not sent now.

        While all that were counted are outstanding, a restart finds what its predecessor had sent:
        so far the window was open.
        """
        if self._sent == outstanding > self.size:
            self._resize(float(outstanding))

    def ended(self, number: int, waits: Waits, outstanding: int, now_ms: int) -> None:
        """Task `number`, one of `outstanding`, ended at `now_ms`.

        `number` is 0 if how it waited was told before, or never can be.
        """
        self._grow_stale(outstanding, now_ms)
        if waits.ran_ms is not None:
            smoothing = _RUN_SMOOTHING if self._ran else 1.0
            self._ran += smoothing * (waits.ran_ms - self._ran)
        if number and waits.waited_ms is not None:
            self.waited(number, waits)
        elif number:
            self._blank()

    def waited(self, number: int, waits: Waits) -> None:
        """Task `number` was started."""
        self._blanks = 0
        if number <= self._mark or waits.waited_ms is None:
            return
        queued = waits.waited_ms if waits.queued_ms is None else waits.queued_ms
        aim = max(TARGET_MS, self._ran * TARGET_OF_RUN)
        self._count += 1
        # One worker that stood still does not speak for all: more than what halves counts as that.
        self._queued += min(queued, self._ran + 2 * aim)
        self._way += min(max(0.0, waits.waited_ms - queued), LONGEST_WAY_MS)
        slight = self._queued <= SLIGHT * aim * self._count
        # Ends come in bunches, so only a whole window tells the mean; but of a window that has just
        # doubled before long runs, only the new half can tell.
        if self._count >= min(ENOUGH, self.size // 2 if slight else self.size):
            self._decide(aim, self._queued / self._count, self._way / self._count)

    def _blank(self) -> None:
        """With no other evidence a small window opens again, one a round, to where it started."""
        self._blanks += 1
        if self._blanks >= self.size and self.size < self._sizes.start:
            self._blanks = 0
            self._resize(self._exact + 1)

    def _grow_stale(self, outstanding: int, now_ms: int) -> None:
        """A window long half empty is halved, down to where it started."""
        if self._filled_at is None or outstanding * 2 >= self.size:
            self._filled_at = now_ms
        elif now_ms - self._filled_at >= STALE_MS:
            self._filled_at = now_ms
            if self.size > self._sizes.start:
                self._resize(max(float(self._sizes.start), self._exact / 2))
                self._step = min(self._step, self._exact)  # what it had learned of growing, too

    def _decide(self, aim: float, queued: float, way: float) -> None:
        slight = queued <= SLIGHT * aim
        if not slight:
            self._step = sqrt(self._exact)
        if queued > aim:
            trip = self._ran + way
            self._resize(self._exact * max(MOST_SHRINK, (trip + aim) / (trip + queued)))
        elif self._filled:
            self._resize(self._exact + self._step)
            if slight:
                self._step = min(self._exact, self._step * 2)
        else:
            self._new_round()

    def _resize(self, exact: float) -> None:
        self._exact = min(float(self._sizes.ceiling), max(float(self._sizes.floor), exact))
        self.size = int(self._exact)
        self._mark = self._sent
        self._filled = False
        self._new_round()

    def _new_round(self) -> None:
        self._count, self._queued, self._way = 0, 0.0, 0.0
