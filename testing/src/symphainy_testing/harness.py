"""Realms under test: the runtime's own deciders and the SDK's own worker, in one process.

There is no broker, no network and no disk, and no time but the harness's. What is decided about an
intent, a report, a signal or a timer is decided by the code that decides it in production.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from symphainy.artifacts import Artifacts
from symphainy.durations import duration_ms
from symphainy.handlers import Handler
from symphainy.realm import Realm
from symphainy.reference import Reference
from symphainy.values import to_json
from symphainy.worker.registration import Registration, capability
from symphainy_processors.admission.control import OPEN_SESSION
from symphainy_schemas import events as e
from symphainy_schemas import records
from symphainy_schemas.errors import CallerError
from symphainy_schemas.state import ExecutionState, ExecutionStatus
from symphainy_testing.driving import Driver
from symphainy_testing.faults import Fault, Faults, Kind, Moment
from symphainy_testing.journal import Happened, happened
from symphainy_testing.owner import PARTITION, Log, Owner, World
from symphainy_testing.run import Run, Until
from symphainy_testing.time import VirtualTime
from symphainy_testing.worker import CAPABILITY_VERSION, INLINE_LIMIT_BYTES, Stage, Worker
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.settings import TransportSettings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = "acme"
PRINCIPAL = "tester"


class Refused(CallerError):
    """A signal or a cancellation was refused; `code`, `field` and `cure` say why."""

    code = "refused"


class Harness:
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
        self._realms = realms
        self._begin_ms = round(now.timestamp() * 1_000)
        self._jitter = jitter
        self._patience_s = duration_ms(patience) / 1_000
        self._faults = Faults()
        self._intents = count(1)
        self._sessions: dict[str, str] = {}
        self._runs: dict[str, Run] = {}
        self._entered = False

    async def __aenter__(self) -> Self:
        """Take the partition over, and start a worker for each realm."""
        if self._entered:
            raise RuntimeError("A harness is used once: make a new one.")
        self._entered = True
        changed = asyncio.Event()
        self._time = VirtualTime(self._begin_ms, changed.set)
        self._store = ArtifactStore("memory:///")
        self._driver = Driver(self._time, changed, self._patience_s)
        log = Log(self._time, (realm.name for realm in self._realms))
        registration = Registration(TransportSettings.model_construct(), "test", self._begin_ms)
        world = World(
            self._time,
            (
                capability(handler, CAPABILITY_VERSION, registration)
                for realm in self._realms
                for handler in realm
            ),
            self._jitter,
        )
        self._driver.owner = self._owner = Owner(log, world)
        stage = Stage(
            self._time,
            self._store,
            self._faults,
            log.steps,
            changed.set,
            self._driver.broken.append,
        )
        self._workers = [Worker(realm, log.tasks[realm.name], stage) for realm in self._realms]
        self._driver.workers = self._workers
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
        for worker in self._workers:
            await worker.close()
        if error is None:
            self._faults.check()

    # --- time ---------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time in here, in UTC."""
        return datetime.fromtimestamp(self._time.now / 1_000, UTC)

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
        intent: str | Handler[Any, Any],
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
            intent: the intent type, or its handler.
            payload: JSON values or a pydantic model.
            until: "accepted", decided and no more; "started", its handler runs and is left to
                (so that time may pass meanwhile); "waiting", it waits or has ended; "ended", with
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
        intent_type = intent if isinstance(intent, str) else intent.intent_type
        data = to_json(payload if payload is not None else {}, "The payload")
        inline, reference = await self._store.claim_check(tenant_id, data, INLINE_LIMIT_BYTES)
        name = intent_id or self._fresh_id()
        stated = records.Intent(
            intent_id=name,
            intent_type=intent_type,
            realm=intent_type.partition(".")[0],
            session_id=self._session(tenant_id),
            tenant_id=tenant_id,
            principal=principal,
            correlation_id=name,
            payload=inline,
            payload_ref=reference,
            metadata=to_json({"source": "test", **(metadata or {})}, "The metadata"),
            solution_context=b""
            if solution_context is None
            else to_json(solution_context, "The solution context"),
            created_at=self._time.now,
        )
        execution_id = self._owner.state(stated)
        run = Run(execution_id, intent_type, tenant_id, stated.session_id, self)
        run = self._runs.setdefault(execution_id, run)
        await self.advance(run, until)
        return run

    def artifacts(self, tenant_id: str = TENANT) -> Artifacts:
        """A tenant's artifacts, to put what an intent refers to."""
        return Artifacts(self._store, tenant_id)

    # --- faults -------------------------------------------------------------------------------

    def fail(
        self,
        intent: str | Handler[Any, Any],
        error: BaseException,
        *,
        step: str = "",
        call: int = 1,
        times: int = 1,
    ) -> None:
        """Let a handler, or one of its steps, raise `error` instead of running.

        It strikes the calls `call`, …, `call + times - 1`: of the handler, each delivery is one; of
        a step, each time that it runs. A fault that strikes nothing fails the test in the end.

        Raises:
            ValueError: it would strike no call.
        """
        self._plan(Kind.FAIL, intent, step, call, times, error)

    def crash(
        self,
        intent: str | Handler[Any, Any],
        *,
        step: str = "",
        call: int = 1,
        when: Moment | str = Moment.BEFORE,
    ) -> None:
        """Let the worker die in this call: all its handlers end without a word, and the next worker
        finds what it had.

        Of a step, `when` says where: "before" it runs; when it "ran" but nothing is recorded, so
        that it runs again; or when it is "recorded". A sync handler's thread cannot be ended: its
        next call of `ctx` raises, or never returns.

        Raises:
            ValueError: it would strike no call, or there is no such moment.
        """
        moment = Moment(when)
        if moment is not Moment.BEFORE and not step:
            raise ValueError(f"when={str(moment)!r} needs the step at which the worker dies.")
        self._plan(Kind.CRASH, intent, step, call, 1, None, moment)

    def hang(
        self, intent: str | Handler[Any, Any], *, step: str = "", call: int = 1, times: int = 1
    ) -> None:
        """Let a handler, or one of its steps, never return: its timeout or heartbeat ends it, and
        the harness skips to that.

        Raises:
            ValueError: it would strike no call.
        """
        self._plan(Kind.HANG, intent, step, call, times, None)

    def _plan(
        self,
        kind: Kind,
        intent: str | Handler[Any, Any],
        step: str,
        call: int,
        times: int,
        error: BaseException | None,
        moment: Moment = Moment.BEFORE,
    ) -> None:
        intent_type = intent if isinstance(intent, str) else intent.intent_type
        known = [handler.intent_type for realm in self._realms for handler in realm]
        if intent_type not in known:
            raise ValueError(f"No realm answers {intent_type!r}; there are {', '.join(known)}.")
        self._faults.plan(Fault(kind, intent_type, step, call, times, error, moment))

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

    def content(self, run: Run, reference: Reference) -> Awaitable[bytes]:
        """The content of an artifact."""
        return self.artifacts(run.tenant_id).get(reference)

    async def ask(
        self, run: Run, verb: str, payload: Mapping[str, object], key: str, until: Until
    ) -> None:
        """State one of the runtime's own intents about an execution, and go on.

        Raises:
            Refused: it was rejected.
        """
        asked = self._control(verb, run.session_id, run.tenant_id, payload, key)
        await self._driver.settle()
        for one in self.events(asked):
            if isinstance(one.event, e.IntentRejected):
                error = one.event.error
                raise Refused(error.message, code=error.code, field=error.field, cure=error.cure)
        await self.advance(run, until)

    async def advance(self, run: Run, until: Until) -> None:
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
        came = await self._driver.drive(
            run.execution_id, lambda: self._is(run, until), waits=until == "ended"
        )
        if not came:
            raise AssertionError(
                f"Nothing more happens by itself, and it has not {_WORDS[until]}"
                f"{_waits_in_words(run)}.\n{run.story()}"
            )

    def _is(self, run: Run, until: Until) -> bool:
        state = self._owner.execution(run.execution_id)
        if state is None:
            return False
        if state.status.ended:
            return True
        match until:
            case "accepted":
                return True
            case "started":
                return any(worker.runs(run.execution_id) for worker in self._workers)
            case "waiting":
                return state.status is ExecutionStatus.WAITING
            case "ended":
                return False

    # --- inside -------------------------------------------------------------------------------

    def _fresh_id(self) -> str:
        return f"intent-{next(self._intents)}"

    def _session(self, tenant_id: str) -> str:
        """The tenant's session, opened as any other."""
        session = self._sessions.get(tenant_id)
        if session is None:
            session = f"ses-{PARTITION}-{len(self._sessions) + 1:032x}"
            self._sessions[tenant_id] = session
            self._control(OPEN_SESSION, session, tenant_id, {}, f"open-{session}")
        return session

    def _control(
        self,
        verb: str,
        session_id: str,
        tenant_id: str,
        payload: Mapping[str, object],
        key: str,
    ) -> str:
        name = key or self._fresh_id()
        return self._owner.state(
            records.Intent(
                intent_id=name,
                intent_type=verb,
                realm="runtime",
                session_id=session_id,
                tenant_id=tenant_id,
                principal=PRINCIPAL,
                correlation_id=name,
                payload=to_json(payload, "What is asked"),
                metadata=b"{}",
                solution_context=b"",
                created_at=self._time.now,
            )
        )


_WORDS = {"accepted": "been decided", "started": "started", "waiting": "ended", "ended": "ended"}


def _waits_in_words(run: Run) -> str:
    return f": it waits for {', '.join(run.waits_for)}" if run.waits_for else ""
