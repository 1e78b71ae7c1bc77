"""What a partition needs of the world: to append, to send, to know time, chance and configuration.

The Kafka shell implements these, and so can anything else that keeps their promises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from symphainy_schemas.records import Capability, DeadLetter, StepReport, Task

Appended = Callable[[int | None], None]
Sent = Callable[[], None]


class Port(Protocol):
    """The log, as one partition writes it."""

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal; `appended` gets the offset, or None when that is in doubt.

        Completions come in the order of the appends, from the thread that drives the partition.
        """
        ...

    def send(self, task: Task, sent: Sent) -> None:
        """Send a task, retried until Kafka acknowledges it; then call `sent`."""
        ...

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the partition's steps; it may be lost, the owner writes another."""
        ...

    def dead_letter(self, letter: DeadLetter) -> None:
        """Keep what could not be read; retried until Kafka acknowledges it."""
        ...


class World(Protocol):
    """Time, chance and configuration, read by the shell."""

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        ...

    def token(self) -> str:
        """A fresh unguessable text."""
        ...

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        ...

    def capability(self, intent_type: str) -> Capability | None:
        """The capability in force."""
        ...

    def tenant_exists(self, tenant_id: str) -> bool:
        """Whether the tenant is known."""
        ...
