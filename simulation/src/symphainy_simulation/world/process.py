"""Processes: they run, stand still, or are dead; and what lies between them and the broker."""

from __future__ import annotations

from random import Random

from symphainy_simulation.world.events import EPOCH_MS, MS, Event, Events, S


class Crash(BaseException):
    """The process died here. No code of it runs on; what tries to is told so again."""


class ProcessClock:
    """A process's clock: true time, and how wrong it is. Implements the transport's `Clock`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        return EPOCH_MS + self._events.now // MS + self.ahead_ms

    def monotonic(self) -> float:
        """Seconds since the run began."""
        return self._events.now / S


class Process:
    """One process. What it does later happens only in the same life, and not while it stands."""

    def __init__(self, name: str, events: Events) -> None:
        self.name = name
        self.events = events
        self.clock = ProcessClock(events)
        self.life = 0
        """Counts its starts."""
        self.alive = False
        self.frozen = False
        self.cut = False
        """Whether the network between it and the broker is gone."""
        self.slow = 1
        """How many times longer its packets take."""
        self.silent_since: int | None = 0
        """Since when nobody hears of it: dead, still or cut off."""
        self.on_silence: list[Event] = []
        self._postponed: list[Event] = []

    def begin(self) -> None:
        """A new life."""
        self.life += 1
        self.alive = True
        self.frozen = False
        self._postponed = []
        self._sounds()

    def die(self) -> None:
        """kill -9."""
        self.alive = self.frozen = False
        self._postponed = []
        self._sounds()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True
        self._sounds()

    def resume(self) -> None:
        """SIGCONT: what came due meanwhile happens now, in order."""
        self.frozen = False
        self._sounds()
        postponed, self._postponed = self._postponed, []
        for what in postponed:
            self.later(0, what)

    def cut_off(self, cut: bool) -> None:
        """Lose the network, or have it back."""
        self.cut = cut
        self._sounds()

    def _sounds(self) -> None:
        silent = not self.alive or self.frozen or self.cut
        if not silent:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = self.events.now
            for told in self.on_silence:
                told()

    def later(self, us: int, what: Event) -> None:
        """Do something `us` from now, if it still lives then; once it runs on, if it stands."""
        life = self.life

        def happen() -> None:
            if life != self.life or not self.alive:
                return
            if self.frozen:
                self._postponed.append(happen)
            else:
                what()

        self.events.after(us, happen)


class Network:
    """How long packets take, and whether they arrive at all."""

    def __init__(self, events: Events, chance: Random) -> None:
        self._events = events
        self._chance = chance
        self.up = True
        """Whether the broker answers."""
        self.stray = 0
        """How many records are on their way that their producers have given up."""
        self._waiting: list[tuple[Process, Event]] = []

    def reaches(self, process: Process) -> bool:
        """Whether process and broker reach each other now."""
        return self.up and not process.cut

    def delay(self, process: Process) -> int:
        """One way, µs: mostly well below a millisecond, at times much more."""
        draw = self._chance.random()
        us = int(150 + 500 * draw) if draw < 0.9 else int(1_000 + 120_000 * (draw - 0.9))
        return us * process.slow

    def once_reached(self, process: Process, what: Event) -> None:
        """Do it as soon as process and broker reach each other."""
        self._waiting.append((process, what))

    def changed(self) -> None:
        """Something healed: what waited for it goes on, in order."""
        waiting, self._waiting = self._waiting, []
        for process, what in waiting:
            if self.reaches(process):
                self._events.after(self.delay(process), what)
            else:
                self._waiting.append((process, what))
