"""Realms under test: the runtime's own deciders and the SDK's own worker, in one process.

There is no broker, no network and no disk, and no time but the harness's. What is decided about an
intent, a report, a signal or a timer is decided by the code that decides it in production.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from symphainy.artifacts import Artifacts
from symphainy.durations import duration_ms
from symphainy.handlers import Handler
from symphainy.plans.declaring import DeclaredPlan
from symphainy.realm import Realm
from symphainy.reference import Reference
from symphainy.worker.capabilities import Registration, capabilities, check_plans
from symphainy_schemas import events as e
from symphainy_schemas import records
from symphainy_schemas.errors import CallerError
from symphainy_schemas.state import ExecutionState
from symphainy_testing.driving import Driver
from symphainy_testing.journal import Happened, happened
from symphainy_testing.owner import PARTITION, Log, Owner, World, rests
from symphainy_testing.planning import Planning, strikable, type_of
from symphainy_testing.producing import PRINCIPAL, TENANT, Producer, Statement
from symphainy_testing.run import Run
from symphainy_testing.telling import Told, Until
from symphainy_testing.time import VirtualTime
from symphainy_testing.worker import CAPABILITY_VERSION, Stage, Worker
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.settings import TransportSettings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Refused(CallerError):
    """A signal or a cancellation was refused; `code`, `field` and `cure` say why."""

    code = "refused"


class Harness(Planning):
    """Runs realms in memory: `async with Harness(orders) as harness: …`.

    Time stands still while handlers run, and passes in three ways only:

    - `submit`, `signal`, `cancel` and `advance` go on until the execution waits or has ended. For
      that they skip what the runtime itself waits for: the delays between attempts, deliveries that
      got lost, the limits of handlers that are planned to hang. They skip neither a `ctx.sleep` nor
      the timeout of a `ctx.signal`, unless they go on until "ended".
    - `skip(duration)` lets so much time pass for everything.
    - `run_to_end()` lets as much pass as all executions need.

    What a handler itself awaits (`asyncio.sleep`, a request) takes its real time.
    """

    def __init__(
        self,
        *realms: Realm,
        now: datetime = BEGIN,
        jitter: float = 0.5,
        patience: timedelta | str = "10s",
    ) -> None:
        """Use it in one `async with`.

        Args:
            realms: whose handlers are under test.
            now: the time at the beginning.
            jitter: in [0, 1); delays between attempts are spread over half of what the policy says
                to all of it, and in a test each is at this place between the two.
            patience: how long a handler may do nothing, in real time, before the test fails.

        Raises:
            ValueError: no realm, one twice, or a value that makes no sense.
        """
        names = [realm.name for realm in realms]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"A harness needs realms, each once; got {names}.")
        if not 0 <= jitter < 1:
            raise ValueError(f"jitter={jitter} is not in [0, 1).")
        super().__init__(strikable(realms))
        self._realms = realms
        changed = asyncio.Event()
        begin_ms = round(now.timestamp() * 1_000)
        self._time = VirtualTime(begin_ms, changed.set)
        self._log = Log(self._time, names)
        self._owner = Owner(self._log, World(self._time, _capabilities(realms, begin_ms), jitter))
        self._driver = Driver(self._owner, self._time, changed, duration_ms(patience) / 1_000)
        self._store = store = ArtifactStore("memory:///")
        self._producer = Producer(self._owner, self._time, store)
        steps, broke = self._log.steps, self._driver.broke
        self._stage = Stage(self._time, store, self._faults, steps, changed.set, broke, {})
        self._runs: dict[str, Run] = {}

    async def __aenter__(self) -> Self:
        """Start a worker for each realm."""
        if self._driver.workers:
            raise RuntimeError("A harness is used once: make a new one.")
        tasks = self._log.tasks
        self._driver.workers = [
            Worker(r, tasks[r.name], self._log.notices[r.name], self._stage) for r in self._realms
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs.

        Raises:
            AssertionError: a planned fault struck nothing: the test proves less than it says.
        """
        for worker in self._driver.workers:
            await worker.close()
        if error is None:
            self._faults.check()

    # --- time ---------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time in here, in UTC."""
        return datetime.fromtimestamp(self._time.now / 1_000, UTC)

    @property
    def journal(self) -> tuple[bytes, ...]:
        """The whole journal as it would stand in Kafka, of all executions."""
        return tuple(self._log.journal)

    async def skip(self, duration: timedelta | str) -> None:
        """Let `duration` ("30s", "24h") pass; all that is due by then happens, in order.

        Raises:
            ValueError: it is no duration.
            AssertionError: a handler does nothing for too long.
        """
        await self._driver.go_to(self._time.now + duration_ms(duration))

    async def run_to_end(self) -> None:
        """Let as much time pass as it takes until every execution has ended.

        Raises:
            AssertionError: one of them cannot end by itself; the message tells its story.
        """
        self._driver.left.clear()
        for run in list(self._runs.values()):
            await self.advance(run, "ended")

    # --- intents ------------------------------------------------------------------------------

    async def submit(
        self,
        intent: str | Handler[Any, Any] | DeclaredPlan[Any],
        payload: BaseModel | Mapping[str, Any] | None = None,
        *,
        until: Until = "waiting",
        intent_id: str = "",
        tenant_id: str = TENANT,
        principal: str = PRINCIPAL,
        metadata: Mapping[str, Any] | None = None,
        solution_context: Mapping[str, Any] | None = None,
    ) -> Run:
        """State an intent; returns its execution when that is `until`.

        What admission rejects is an execution too: `rejected`, with the error that a caller gets.
        A repeat of an `intent_id` is the first one's execution.

        Args:
            intent: the intent type, or its handler or plan.
            payload: JSON values or a pydantic model.
            until: "accepted", it is decided; "started", its handler runs and is left to, so that
                time may pass meanwhile, or waits; "waiting", it waits or has ended; "ended", with
                whatever time its waits take.
            intent_id: the idempotency key; made up if empty.
            tenant_id: for whom; every tenant exists, each has one session.
            principal: who states it.
            metadata: what a producer may add.
            solution_context: handed through to the handler.

        Raises:
            ContractViolation: the payload cannot be written as JSON.
            AssertionError: it cannot come there by itself; the message tells its story.
        """
        stated = await self._producer.state(
            Statement(
                intent_type=type_of(intent),
                payload={} if payload is None else payload,
                intent_id=intent_id,
                tenant_id=tenant_id,
                principal=principal,
                metadata=metadata or {},
                solution_context=solution_context,
            )
        )
        known = Run(stated.execution_id, type_of(intent), tenant_id, stated.session_id, self)
        run = self._runs.setdefault(stated.execution_id, known)
        await self.advance(run, until)
        return run

    def artifacts(self, tenant_id: str = TENANT) -> Artifacts:
        """A tenant's artifacts, to put what an intent refers to."""
        return Artifacts(self._store, tenant_id)

    # --- as a run sees it ---------------------------------------------------------------------

    def execution(self, execution_id: str) -> ExecutionState | None:
        """The execution as the journal has it."""
        return self._owner.execution(execution_id)

    def events(self, execution_id: str) -> tuple[Happened, ...]:
        """The execution's events, in order."""
        mine = (
            (offset, record)
            for offset, record in enumerate(self._owner.records())
            if record.execution_id == execution_id
        )
        return happened(mine, PARTITION)

    def cause(self, execution_id: str) -> Exception | None:
        """What last left the execution's handler, if anything did."""
        return self._stage.raised.get(execution_id)

    def content(self, run: Told, reference: Reference) -> Awaitable[bytes]:
        """The content of an artifact."""
        return self.artifacts(run.tenant_id).get(reference)

    async def ask(
        self, run: Told, verb: str, payload: Mapping[str, object], key: str, until: Until
    ) -> None:
        """State one of the runtime's own intents about an execution, and go on.

        Raises:
            Refused: it was rejected.
        """
        asked = self._producer.ask(verb, run.session_id, run.tenant_id, payload, key)
        await self._driver.settle()
        for one in self.events(asked):
            if isinstance(one.event, e.IntentRejected):
                error = one.event.error
                raise Refused(error.message, code=error.code, field=error.field, cure=error.cure)
        await self.advance(run, until)

    async def advance(self, run: Told, until: Until) -> None:
        """Go on until the execution is `until`.

        Raises:
            AssertionError: it cannot come there by itself; the message tells its story.
        """
        left = self._driver.left
        if run.execution_id in left:
            left.remove(run.execution_id)
        if until == "accepted":
            self._owner.turn()
            return
        if until == "started":
            left.append(run.execution_id)
        came = await self._driver.drive(run.execution_id, lambda: self._is(run, until))
        if not came:
            raise AssertionError(
                f"Nothing more happens by itself, and it has not {_WORDS[until]}"
                f"{_waits_in_words(run)}.\n{run.story()}"
            )

    def _is(self, run: Told, until: Until) -> bool:
        state = self._owner.execution(run.execution_id)
        if state is None:
            return False
        if state.status.ended:
            return True
        match until:
            case "accepted":
                return True
            case "started" | "waiting":
                family = self._owner.family(run.execution_id)
                return all(map(rests, family)) or (until == "started" and self._runs_now(run))
            case "ended":
                return False

    def _runs_now(self, run: Told) -> bool:
        return any(worker.runs(run.execution_id) for worker in self._driver.workers)


_WORDS = {"accepted": "been decided", "started": "started", "waiting": "ended", "ended": "ended"}


def _capabilities(realms: Iterable[Realm], now: int) -> list[records.Capability]:
    """What the realms' workers would register, all of them at once."""
    registration = Registration(TransportSettings.model_construct(), "test", now)
    found = [
        one for realm in realms for one in capabilities(realm, CAPABILITY_VERSION, registration)
    ]
    for realm in realms:
        check_plans(realm, {one.name: one for one in found})
    return found


def _waits_in_words(run: Told) -> str:
    return f": it waits for {', '.join(run.waits_for)}" if run.waits_for else ""
