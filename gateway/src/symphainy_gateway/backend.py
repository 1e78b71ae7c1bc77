"""What the gateway needs of the outside, as ports. Routes know these, never Kafka or Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from symphainy_gateway.backlog import Sighting
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.read_model.notifications import Watch
from symphainy_runtime.read_model.reader import Document, Listing, Page
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.records import Intent
from symphainy_transport.clock import Clock
from symphainy_transport.publishing import Accepted


class Publishing(Protocol):
    """The way into the write-ahead log (`symphainy_transport.publishing.IntentPublisher`)."""

    @property
    def partitions(self) -> int:
        """How many partitions the log has."""
        ...

    async def publish(self, intent: Intent) -> Accepted:
        """Append the intent; returns when Kafka has acknowledged it."""
        ...


class Reading(Protocol):
    """The read model (`symphainy_runtime.read_model.reader.ReadModel`)."""

    async def executions(self, tenant_id: str, execution_ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those that are there and the tenant's, in one round trip."""
        ...

    async def events(
        self, tenant_id: str, execution_id: str, after: int = 0
    ) -> list[Document] | None:
        """The execution's events in journal order, from index `after`; None if not there."""
        ...

    async def session(self, tenant_id: str, session_id: str) -> Document | None:
        """A session of the tenant."""
        ...

    async def session_events(self, tenant_id: str, session_id: str) -> list[Document] | None:
        """Every event of the session's executions, in journal order; None if not there."""
        ...

    async def listing(self, tenant_id: str, what: Listing) -> Page:
        """Executions, newest first."""
        ...


class Watching(Protocol):
    """Who tells of changes (`symphainy_runtime.read_model.notifications.Notifier`)."""

    def watch(self, execution_id: str) -> AbstractAsyncContextManager[Watch]:
        """Be told of changes from here on."""
        ...


class Backend(Protocol):
    """Everything behind the gateway.

    `publisher`, `read_model` and `sightings` raise `Unavailable` (`not_ready`) until the services
    were reached.
    """

    @property
    def settings(self) -> RuntimeSettings:
        """What the process was told."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def publisher(self) -> Publishing:
        """The way into the write-ahead log."""
        ...

    @property
    def read_model(self) -> Reading:
        """The read model."""
        ...

    @property
    def notifier(self) -> Watching:
        """Who tells of changes."""
        ...

    @property
    def configuration(self) -> Configuration:
        """What is in force now."""
        ...

    async def sightings(self) -> Sequence[Sighting]:
        """A look at every partition of the log, in order; what did not answer was not seen."""
        ...

    async def checks(self) -> Mapping[str, str]:
        """For each service the reason why it is not reached, or an empty text."""
        ...
