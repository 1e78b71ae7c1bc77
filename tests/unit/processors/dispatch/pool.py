"""A pool of workers on a virtual clock, with owners that always have work before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from symphainy_processors.dispatch.window import Sizes, Waits, Window


@dataclass
class Sender:
    """One partition's window in front of the pool."""

    window: Window
    outstanding: int = 0
    ended: int = 0
    queued_ms: float = 0.0


@dataclass
class Task:
    """One task on its way."""

    sender: Sender
    number: int
    sent_at: float
    run_ms: float = 0.0
    arrived_at: float = 0.0
    queued_ms: float = 0.0


@dataclass
class Pool:
    """`slots` tasks run at once, for `run_ms` on average; `way_ms` there and back; in order.

    `reports` says whether a start is told at once, or only with the end.
    """

    slots: int
    run_ms: float
    way_ms: float = 10.0
    reports: bool = False
    blank: bool = False  # ends tell nothing
    now: float = 0.0
    senders: list[Sender] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, str, Task]] = []
        self._count = 0
        self._queue: deque[Task] = deque()
        self._running = 0
        self._spread = 0.0

    def add(self, size: int | None = None) -> Sender:
        """A partition joins, with a window of `size`."""
        sender = Sender(Window(Sizes() if size is None else Sizes(start=size)))
        self.senders.append(sender)
        return sender

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds * 1_000
        for sender in self.senders:
            self._send(sender)
        while self._events and self._events[0][0] <= until:
            self.now, _, what, task = heappop(self._events)
            getattr(self, f"_{what}")(task)
        self.now = until

    def ended(self, seconds: float) -> int:
        """How many tasks end in so much time."""
        before = sum(sender.ended for sender in self.senders)
        self.run(seconds)
        return sum(sender.ended for sender in self.senders) - before

    def mean_queue(self, seconds: float) -> float:
        """How long tasks wait for a slot that end in so much time."""
        queued = sum(sender.queued_ms for sender in self.senders)
        ended = self.ended(seconds)
        return (sum(sender.queued_ms for sender in self.senders) - queued) / max(1, ended)

    def _at(self, when: float, what: str, task: Task) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, what, task))

    def _send(self, sender: Sender) -> None:
        while sender.outstanding < sender.window.size:
            sender.outstanding += 1
            number = sender.window.sent(sender.outstanding)
            self._at(self.now + self.way_ms / 2, "arrives", Task(sender, number, self.now))

    def _arrives(self, task: Task) -> None:
        task.arrived_at = self.now
        self._queue.append(task)
        self._start()

    def _start(self) -> None:
        while self._queue and self._running < self.slots:
            task = self._queue.popleft()
            self._running += 1
            task.queued_ms = self.now - task.arrived_at
            self._spread = (self._spread + 0.618_034) % 1.0  # evenly over 0.5 to 1.5, no chance
            task.run_ms = self.run_ms * (0.5 + self._spread)
            self._at(self.now + task.run_ms, "ends", task)
            if self.reports:
                self._at(self.now + self.way_ms / 2, "told", task)

    def _told(self, task: Task) -> None:
        waits = Waits(self.now - task.sent_at, task.queued_ms)
        task.sender.window.waited(task.number, waits)
        task.number = 0
        self._send(task.sender)

    def _ends(self, task: Task) -> None:
        self._running -= 1
        self._at(self.now + self.way_ms / 2, "answered", task)
        self._start()

    def _answered(self, task: Task) -> None:
        sender = task.sender
        waited = self.now - task.sent_at - task.run_ms
        waits = Waits(waited, task.queued_ms, task.run_ms)
        waits = Waits() if self.blank else waits
        sender.window.ended(task.number, waits, sender.outstanding, int(self.now))
        sender.outstanding -= 1
        sender.ended += 1
        sender.queued_ms += task.queued_ms
        self._send(sender)
