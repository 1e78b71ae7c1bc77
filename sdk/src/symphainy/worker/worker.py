"""The worker: realms in, Kafka around them, from registration to the last commit.

It starts nothing whose report it could not send, and ends by draining: running handlers get a
deadline, what was not started is handed back, what is done is committed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from symphainy.realm import Realm
from symphainy.worker.admission import Entry
from symphainy.worker.capabilities import Registration
from symphainy.worker.company import Company
from symphainy.worker.engine import Engine, EngineOptions
from symphainy.worker.flow import Flow
from symphainy.worker.notices import NoticeReader
from symphainy.worker.pump import Pump, PumpOptions
from symphainy.worker.registration import announce, register, withdraw
from symphainy.worker.reporter import Reporter
from symphainy.worker.standing import Standing
from symphainy.worker.watching import LoopWatch
from symphainy_schemas.errors import CallerError, SymphainyError
from symphainy_schemas.records import CancelNotice, Serving
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clock import Clock, SystemClock
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import Topics

_log = logging.getLogger("symphainy.worker")

# What drains must end within the 10 s that a supervisor leaves a child: handlers, then reports,
# then commit and leave.
_DRAIN_S = 6.0
_REPORTS_S = 2.0
_LEAVE_S = 1.5
# Payloads held at once by one realm; a batch may exceed it by 64 records.
_HELD_BYTES = 64 * 1024 * 1024
# Tasks that may wait here for a slot, at least; as many as there are slots if that is more. Owners
# keep the queue shorter (a tenth, or 25 ms); what is beyond waits in Kafka, where a partition that
# is read first is served first.
_AHEAD = 64


@dataclass(frozen=True, slots=True)
class _Crew:
    """All that works for one realm."""

    realm: str
    serving: Serving
    engine: Engine
    flow: Flow
    pump: Pump


class Worker:
    """Runs the handlers of realms, as one member of each realm's consumer group."""

    def __init__(
        self,
        realms: Iterable[Realm],
        settings: TransportSettings,
        *,
        concurrency: int = 256,
        worker_id: str = "",
        name: str = "",
        draining: bool = False,
        drain_s: float = _DRAIN_S,
        clock: Clock | None = None,
    ) -> None:
        """Touches no network.

        Args:
            realms: what to run; each with its own consumer group and its own concurrency.
            settings: how to reach Kafka and the object store.
            concurrency: how many tasks of a realm this worker runs at once.
            worker_id: who reports; `name` by default, or host and process id.
            name: stable, and this process's own among the workers of its realms: who is killed and
                comes again under it goes on at once with the partitions that it had. Without one
                they wait for the end of its session. A second process under it ends the first.
            draining: go on with what this code has registered before, and put nothing in force.
            drain_s: how long a stop waits for running handlers, in seconds.
            clock: the machine's by default.

        Raises:
            CallerError: no realm, an empty one, or one twice; or concurrency below 1.
        """
        self._realms = tuple(realms)
        self._settings = settings
        self._concurrency = concurrency
        self._name = name
        self._worker_id = worker_id or name or f"{socket.gethostname()}-{os.getpid()}"
        self._draining = draining
        self._drain_s = drain_s
        self._clock = clock or SystemClock()
        self._topics = Topics(settings.topic_prefix)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stopped = False
        self._fault: BaseException | None = None
        self._joining = {self._topics.tasks(realm.name) for realm in self._realms}
        self._serving: dict[str, Serving] = {}  # by task topic
        self._lost: set[str] = set()
        self._saying: set[asyncio.Task[None]] = set()
        self._on_ready: Callable[[], None] | None = None
        self._company = Company()
        _check(self._realms, concurrency)

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Register, join, and work until `stop`; returns when everything is drained.

        `on_ready` is called once, when the groups of all realms have answered with an assignment.

        Raises:
            OperatorError: the cluster is not set up, or refuses this worker.
            Unavailable: Kafka does not answer.
        """
        self._loop = asyncio.get_running_loop()
        self._on_ready = on_ready
        reporter = Reporter(self._settings, self._worker_id, self._break)
        await asyncio.to_thread(reporter.connect)
        crews: list[_Crew] = []
        notices = NoticeReader(
            self._settings, self._worker_id, self._clock, lambda notice: _tell(crews, notice)
        )
        watch = LoopWatch()
        watch.start()
        try:
            for realm in self._realms:
                crews.append(await self._crew(realm, reporter))
            await asyncio.to_thread(notices.start)
            for crew in crews:
                crew.pump.start()
            while not self._stopped and self._fault is None:
                await self._wake.wait()
                self._wake.clear()
        finally:
            await self._drain(crews, reporter)
            notices.close()
            watch.stop()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Ask `run` to drain and return. Safe in signal handlers and from other threads."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _break(self, fault: BaseException) -> None:
        """Something failed that no waiting cures: drain, then raise it from `run`."""
        if self._fault is None:
            self._fault = fault
            _log.error("the worker stops: %s", fault)
        self._wake.set()

    def _left_out(self, topic: str) -> None:
        """The group has let this worker go; another may then have removed what it serves."""
        self._lost.add(topic)

    def _joined(self, topic: str) -> None:
        if topic in self._lost:
            self._lost.discard(topic)
            saying = asyncio.create_task(self._say_again(self._serving[topic]))
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)
        self._joining.discard(topic)
        if not self._joining and self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    def _registration(self) -> Registration:
        now = self._clock.now_ms()
        return Registration(self._settings, self._worker_id, now, self._draining)

    async def _say_again(self, serving: Serving) -> None:
        try:
            await asyncio.to_thread(announce, serving, self._registration())
        except SymphainyError as error:
            _log.warning("what %s serves is not told again: %s", self._worker_id, error)

    async def _crew(self, realm: Realm, reporter: Reporter) -> _Crew:
        serving = await asyncio.to_thread(register, realm, self._registration())
        group_id = self._topics.name(f"realm.{realm.name}")
        topic = self._topics.tasks(realm.name)
        self._serving[topic] = serving
        flow = Flow(self._concurrency + max(self._concurrency, _AHEAD), _HELD_BYTES)
        standing = Standing(self._clock.monotonic)
        store = ArtifactStore.from_settings(self._settings)
        engine = Engine(
            EngineOptions(
                topic=self._topics.short(topic),
                entries=_entries(realm, serving),
                worker_id=self._worker_id,
                inline_limit_bytes=self._settings.inline_limit_bytes,
                concurrency=self._concurrency,
                store=store,
                content=store.content,
                clock=self._clock,
                standing=standing,
                company=self._company,
            ),
            flow,
            reporter,
            self._break,
        )
        pump = Pump(
            PumpOptions(
                topic=topic,
                group_id=group_id,
                client_id=self._worker_id,
                name=self._name,
                settings=self._settings,
                clock=self._clock,
                standing=standing,
                take=engine.take,
                joined=self._joined,
                lost=self._left_out,
                broken=self._break,
            ),
            flow,
        )
        handlers = ", ".join(f"{one.intent_type} v{one.newest}" for one in serving.versions)
        _log.info(
            "%s works for realm %s in %s: %s", self._worker_id, realm.name, group_id, handlers
        )
        return _Crew(realm.name, serving, engine, flow, pump)

    async def _drain(self, crews: list[_Crew], reporter: Reporter) -> None:
        held = sum(crew.flow.held for crew in crews)
        _log.info("%s is stopping; it holds %d tasks", self._worker_id, held)
        for crew in crews:
            crew.flow.closed = True
            crew.engine.stop()
        await asyncio.gather(*(crew.engine.drain(self._drain_s) for crew in crews))
        await reporter.close(_REPORTS_S)
        for crew in crews:
            crew.pump.finish()
        left = (asyncio.to_thread(crew.pump.ended.wait, _LEAVE_S) for crew in crews)
        *gone, _ = await asyncio.gather(*left, self._withdraw([crew.serving for crew in crews]))
        if not all(gone):
            _log.warning("a consumer did not leave its group in time; its session will run out")

    async def _withdraw(self, serving: list[Serving]) -> None:
        try:
            await asyncio.to_thread(withdraw, serving, self._registration(), _LEAVE_S)
        except SymphainyError as error:
            _log.info("what %s served is not removed: %s", self._worker_id, error)


def _entries(realm: Realm, serving: Serving) -> dict[str, Entry]:
    handlers = {handler.intent_type: handler for handler in realm}
    return {
        one.intent_type: Entry(handlers[one.intent_type], one.newest, one.oldest)
        for one in serving.versions
        if one.intent_type in handlers
    }


def _tell(crews: list[_Crew], notice: CancelNotice) -> None:
    for crew in crews:
        if crew.realm == notice.realm:
            crew.engine.cancel(notice)


def _check(realms: tuple[Realm, ...], concurrency: int) -> None:
    names = [realm.name for realm in realms]
    if not names or len(set(names)) < len(names):
        raise CallerError(f"A worker needs realms, each once; got {names}.", code="no_realm")
    for realm in realms:
        if not len(realm) and not realm.plans:
            raise CallerError(
                f"Realm {realm.name} declares no handlers and no plans.",
                code="no_handlers",
                cure=f'Declare one with @realm.intent("{realm.name}.…").',
            )
    if concurrency < 1:
        raise CallerError(f"concurrency={concurrency} runs nothing.", cure="Use 1 or more.")
