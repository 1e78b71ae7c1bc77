"""What the gateway needs of the outside, as ports. Routes know these, never Kafka or Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from symphainy_gateway.backlog import Sighting
from symphainy_gateway.quotas.ledger import Ledger
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.read_model.notifications import Watch
from symphainy_runtime.read_model.reader import Document, Listing, Page
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.query import Answer, Query
from symphainy_schemas.records import Intent, PolicySet
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

    async def adds(self, intent: Intent) -> int:
        """How many bytes publishing the intent would add to the object store."""
        ...

    async def same_payload(self, intent: Intent, digest: bytes) -> bool:
        """Whether what was decided under the digest is the intent's payload."""
        ...


class Reading(Protocol):
    """The read model (`symphainy_runtime.read_model.reader.ReadModel`)."""

    async def executions(self, tenant_id: str, execution_ids: Sequence[str]) -> dict[str, Document]:
        """The documents of those that are there and the tenant's, in one round trip."""
        ...

    async def document(self, tenant_id: str, fields: Mapping[bytes, bytes]) -> Document | None:
        """The document of an execution's hash, if it is the tenant's."""
        ...

    async def events(
        self, tenant_id: str, execution_id: str, after: int = 0
    ) -> list[Document] | None:
        """The execution's events in journal order, from index `after`; None if not there."""
        ...

    async def session(self, tenant_id: str, session_id: str) -> Document | None:
        """A session of the tenant."""
        ...

    async def running(self, session_id: str, limit: int) -> tuple[int, list[str]]:
        """How many executions run in a session, and the ids of the first `limit`."""
        ...

    async def sessions(self, tenant_id: str, what: Listing) -> Page:
        """The tenant's sessions, newest first."""
        ...

    async def session_events(self, tenant_id: str, session_id: str) -> list[Document] | None:
        """Every event of the session's executions, in journal order; None if not there."""
        ...

    async def listing(self, tenant_id: str, what: Listing) -> Page:
        """Executions, newest first."""
        ...


class Asking(Protocol):
    """The log, to be asked (`symphainy_gateway.wal.WalPool`)."""

    async def query(self, query: Query) -> Answer:
        """One page of rows. It holds no more than a bounded number of records takes to read."""
        ...


class Watching(Protocol):
    """Who tells of changes (`symphainy_runtime.read_model.notifications.Notifier`)."""

    def watch(self, execution_id: str) -> AbstractAsyncContextManager[Watch]:
        """Be told of changes from here on."""
        ...


class Replaying(Protocol):
    """The journal itself, which the composition root hands in: a gateway does not fold."""

    async def replay(
        self,
        execution_id: str,
        offsets: Sequence[int],
        mode: str,
        at_offset: int | None,
        at_ms: int | None,
    ) -> Document:
        """The execution whose records stand at `offsets`: its events, or its state as of then.

        Raises:
            CallerError: `history_expired`, `range_not_kept` or `before_execution`.
            Unavailable: Kafka did not answer.
        """
        ...

    async def validate(
        self,
        document: Document,
        events: Sequence[Document],
        configuration: Configuration,
        at_ms: int,
    ) -> Document:
        """The report on an execution, which the read model shows so; `at_ms` is when it is made.

        Raises:
            CallerError: `history_expired` or `execution_running`.
            Unavailable: Kafka did not answer.
        """
        ...


class Trial(Struct, frozen=True, kw_only=True):
    """What a backtest is asked for: which policies, over which range.

    `given` is a set, or the number of one in `config`. Times are ms since the epoch; offsets are of
    the write-ahead log of the one partition named; `until` and `to_offset` are exclusive.
    `examples` of each group are told. `partitions` is how many the log has.
    """

    scope: str
    given: PolicySet | int
    since: int | None
    until: int | None
    partition: int | None
    from_offset: int | None
    to_offset: int | None
    examples: int
    partitions: int


class Backtest(Protocol):
    """One that can be run: its range is there, and not too large."""

    @property
    def records(self) -> int:
        """How many records of the journal it reads at most."""
        ...

    async def run(self, progress: Callable[[int, int], None]) -> Document:
        """What it finds; `progress` is told how many more records and intents were read. Cancelled,
        it returns when nothing of it runs any more.

        Raises:
            Unavailable: Kafka did not go on.
            OperatorError: the records are newer than this process, or were deleted meanwhile.
        """
        ...


class Backtesting(Protocol):
    """Trying policies on what was decided, which the composition root hands in, as `Replaying`."""

    async def prepare(self, trial: Trial, configuration: Configuration) -> Backtest:
        """Look what is to be read.

        Raises:
            CallerError: `range_not_kept`, `empty_range`, `range_too_large`, `policy_not_found`,
                `policy_malformed` or `tenant_not_found`; the field is the trial's.
            Unavailable: Kafka did not answer.
        """
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
    def wal(self) -> Asking:
        """The log, to be asked."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Where tenants' counts are kept."""
        ...

    @property
    def notifier(self) -> Watching:
        """Who tells of changes."""
        ...

    @property
    def replays(self) -> Replaying:
        """What stands in the journal."""
        ...

    @property
    def backtests(self) -> Backtesting:
        """Trying policies on what stands in the journal."""
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
