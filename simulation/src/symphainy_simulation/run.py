"""One run: a plan carried out in a simulated world, healed, brought to rest, and checked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from symphainy_processors.owner.governing import PolicyMissing
from symphainy_schemas.state import ExecutionState, ExecutionStatus, TenantState
from symphainy_simulation import gaps, retention
from symphainy_simulation.actors import catalogue, policies
from symphainy_simulation.actors.governors import Governors
from symphainy_simulation.actors.job import Start
from symphainy_simulation.actors.owner import OwnerProcess, Seen, Setting
from symphainy_simulation.actors.ports import TASK_PARTITIONS
from symphainy_simulation.actors.users import Users
from symphainy_simulation.actors.worker import Realm, WorkerProcess
from symphainy_simulation.checking import History, Violation, Written, check_all
from symphainy_simulation.checking.history import Body
from symphainy_simulation.drawing import HEALED_AT_MS
from symphainy_simulation.harms import Harms
from symphainy_simulation.plan import TENANTS, Harm, Plan
from symphainy_simulation.scale import options, scaled
from symphainy_simulation.world.events import MS, Runaway, S
from symphainy_simulation.world.group import Group
from symphainy_simulation.world.state_topic import StatePartition
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, JOURNAL, STEPS

SESSION_MS = 900
OWNER_MESSAGE_TIMEOUT_MS = 500  # below the session's (rule 1)
STILL_S = 15  # nothing was decided for so long: nothing will be
QUIET_WITHIN_S = 120
LIVENESS = "G1"
# One batch of inputs is decided whole, and each decision may send a task, a marker or a letter.
IN_FLIGHT_BEYOND = 450
OWNERS = "ABC"


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    violations: list[Violation]
    trace: str
    story: list[str]
    history: History
    virtual_s: float


def simulate(plan: Plan, *, tell_all: bool = False) -> Outcome:
    """Carry out a plan and check what it left. `tell_all` puts the owners' own log into the story.

    Two calls with one plan give one trace.
    """
    with scaled(tight=plan.scenario.tight):
        return Run(plan, tell_all=tell_all).go()


class Run:
    """Implements `harms.Stage`."""

    def __init__(self, plan: Plan, *, tell_all: bool) -> None:
        self.plan = plan
        self.scenario = scenario = plan.scenario
        self.universe = Universe(plan.seed)
        self.universe.notices = scenario.told
        self.state = {
            p: StatePartition(p, self.universe.events, self.universe.broker.trace)
            for p in range(scenario.partitions)
        }
        self.owners_group = Group(self.universe, "owners", scenario.partitions, SESSION_MS)
        self.seen = Seen()
        self.starts: list[Start] = []
        self._tell_all = tell_all
        self._errors: list[str] = []
        setting = Setting(
            self.universe,
            options(scenario),
            self.owners_group,
            self.state,
            catalogue.capabilities(scenario),
            catalogue.tenants(scenario),
            catalogue.policies,
            OWNER_MESSAGE_TIMEOUT_MS,
        )
        for topic in (INTENTS, STEPS, JOURNAL):
            for p in range(scenario.partitions):
                self.universe.log(topic, p)
        self.owners = [OwnerProcess(OWNERS[i], setting, self.seen) for i in range(scenario.owners)]
        realms = [self._realm(name) for name in catalogue.REALMS[: scenario.realms]]
        self.workers = [
            WorkerProcess(f"{realm.name}-{i}", realm, scenario.concurrency)
            for realm in realms
            for i in range(scenario.workers)
        ]
        self.users = Users(self.universe, scenario.partitions, plan.stated)
        self.governors = Governors(
            self.universe, scenario.partitions, plan.stated, self.users.acknowledged
        )
        self._skew()

    def _realm(self, name: str) -> Realm:
        for p in range(TASK_PARTITIONS):
            self.universe.log(f"tasks.{name}", p)
        group = Group(self.universe, name, TASK_PARTITIONS, SESSION_MS)
        return Realm(self.universe, name, group, self.starts)

    def _skew(self) -> None:
        """Every clock is somewhat wrong, any two by no more than the allowed skew."""
        chance = self.universe.stream("clocks")
        half = self.scenario.skew_ms // 2
        actors: list[OwnerProcess | WorkerProcess] = [*self.owners, *self.workers]
        for one in actors:
            one.process.clock.ahead_ms = chance.randint(-half, half)

    # --- going ----------------------------------------------------------------------------------

    def go(self) -> Outcome:
        """Everything."""
        with self._listening():
            chance = self.universe.stream("starts")
            actors: list[OwnerProcess | WorkerProcess] = [*self.owners, *self.workers]
            for one in actors:
                self.universe.events.at(chance.randrange(200 * MS), one.start)
            harms = Harms(self)
            harms.arrange(self.plan.faults)
            stuck = ""
            try:
                self.universe.events.run_to(HEALED_AT_MS * MS)
                harms.heal()
                stuck = self._come_to_rest()
            except Runaway as error:
                stuck = str(error)
        return self._outcome(stuck)

    def _come_to_rest(self) -> str:
        """Go on until nothing is left to do; what is left, if that never comes."""
        events = self.universe.events
        until = events.now + QUIET_WITHIN_S * S
        since, decided = events.now, -1
        while events.now < until and events.now - since < STILL_S * S:
            events.run_to(events.now + 100 * MS)
            left = self._left()
            if not left:
                return ""
            ends = sum(self.universe.log(JOURNAL, p).end for p in self.state)
            if ends > decided:
                since, decided = events.now, ends
        return left

    def _left(self) -> str:
        """What is still to be done, in words; empty if nothing is."""
        if self.users.waiting:
            return f"{self.users.waiting} records of users are not acknowledged"
        if self.governors.waiting:
            return f"{self.governors.waiting} broadcasts are not complete"
        if self.universe.network.stray:
            return f"{self.universe.network.stray} records are on their way that nobody waits for"
        for worker in self.workers:
            if worker.busy:
                return f"worker {worker.process.name} is busy"
        return next((left for p in self.state if (left := self._left_of(p))), "")

    def _left_of(self, p: int) -> str:
        mine = [o.owner.partitions[p] for o in self.owners if o.owner and p in o.owner.owned]
        if len(mine) != 1:
            return f"partition {p} has {len(mine)} owners"
        owned = mine[0]
        reached = owned.state.settled.intents_next, owned.state.settled.steps_next
        ends = self.universe.log(INTENTS, p).behind_last, self.universe.log(STEPS, p).behind_last
        if owned.lost or owned.ledger.in_flight:
            return f"partition {p} has decisions in flight"
        if reached != ends:
            return f"partition {p} has read to {reached} of {ends}"
        if self.universe.log(JOURNAL, p).end != owned.ledger.next_offset:
            # Something landed behind its back, as it will find out by its next decision.
            self.users.knock(p)
            return f"partition {p} has an owner that does not know the journal's end"
        suspended = [
            body
            for body in owned.state.everything().values()
            if isinstance(body, TenantState) and body.suspended
        ]
        if suspended:
            for tenant in suspended:
                self.governors.resume(tenant, p)
            return f"partition {p} has {len(suspended)} suspended tenants"
        if owned.state.live:
            for body in owned.state.everything().values():
                if isinstance(body, ExecutionState) and body.paused and not body.status.ended:
                    self.users.wake(body)
            left = [body for body in owned.state.everything().values() if self._goes_on(body)]
            if left:
                return f"partition {p} has {len(left)} live executions"
        if owned.state.changed or owned.state.unflushed:
            return f"partition {p} has changes that are not in `state`"
        return ""

    def _goes_on(self, body: Body) -> bool:
        """Whether it is an execution that will end, or of which an operator wants something."""
        if not isinstance(body, ExecutionState) or body.status.ended:
            return False
        return body.status is not ExecutionStatus.STUCK or self.users.tend(body)

    # --- what retention may take ----------------------------------------------------------------

    def expire_records(self, partition: int, share: float) -> None:
        """Take from the front what is decided and, of the journal, what `state` reflects; as the
        broker's settings must see to (docs/journal-protocol.md, "The broker's part")."""
        for topic, end in retention.may_go(self.state[partition].visible()):
            log = self.universe.log(topic, partition)
            log.start = max(log.start, int(log.start + share * (end - log.start)))
        self.universe.tell(f"retention takes from the front of partition {partition}")

    # --- the end --------------------------------------------------------------------------------

    def _outcome(self, stuck: str) -> Outcome:
        for owner in self.owners:
            if owner.process.alive:
                owner.snapshot()
            owner.note_disk()
        history = self._history(quiet=not stuck)
        violations = [Violation("owner", fault) for fault in (*self.seen.faults, *self._errors)]
        if stuck:
            violations.append(Violation(LIVENESS, f"it never came to rest: {stuck}"))
        violations += [v for v in check_all(history) if not gaps.known(v, history)]
        violations += self._bounds()
        universe = self.universe
        return Outcome(
            violations,
            universe.broker.trace.digest(),
            universe.told(),
            history,
            universe.events.now / S,
        )

    def _bounds(self) -> list[Violation]:
        """What a look at the logs cannot tell."""
        most = self.scenario.max_in_flight + IN_FLIGHT_BEYOND
        if self.seen.most_in_flight > most:
            sentence = f"{self.seen.most_in_flight} records were in flight; {most} may be"
            return [Violation("owner", sentence)]
        return []

    def _history(self, *, quiet: bool) -> History:
        scenario, universe = self.scenario, self.universe
        places = range(scenario.partitions)

        def logs(topic: str) -> dict[int, list[Written]]:
            return {p: universe.log(topic, p).everything() for p in places}

        return History(
            partitions=scenario.partitions,
            intents=logs(INTENTS),
            steps=logs(STEPS),
            journal=logs(JOURNAL),
            state={p: self.state[p].everything() for p in places},
            tasks={
                name: [w for log in universe.broker.named(name) for w in log.everything()]
                for name in (f"tasks.{realm}" for realm in catalogue.REALMS[: scenario.realms])
            },
            dead_letters=universe.log(DEAD_LETTERS, 0).everything(),
            acknowledged=self.users.acknowledged,
            starts=[start.noted() for start in self.starts],
            live=self.seen.snapshots,
            dedupe_window_ms=scenario.dedupe_window_ms,
            skew_ms=scenario.skew_ms,
            clocks_kept=scenario.clocks_kept,
            quiet=quiet,
            tenant_limits=catalogue.limits(scenario),
            policies=policies.every(),
            tenants=frozenset(TENANTS),
            config_late=any(fault.harm is Harm.CONFIG for fault in self.plan.faults),
            task_duplicates=universe.task_duplicates,
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear what owners log: an error must not happen, whatever the world does."""
        logger = logging.getLogger("symphainy_processors")
        handler = _Ears(self)
        level, propagates = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if self._tell_all else logging.ERROR)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagates

    def heard(self, record: logging.LogRecord) -> None:
        """A line of an owner's log."""
        if record.levelno >= logging.ERROR and not self._foreseen(record):
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                error = record.exc_info[1]
                text += f" ({type(error).__name__}: {error})"
                if isinstance(error, Exception):
                    self.universe.errors.append(error)
            self._errors.append(text)
        if self._tell_all:
            self.universe.tell(f"    an owner logs: {record.getMessage()}")

    def _foreseen(self, record: logging.LogRecord) -> bool:
        """Whether it tells that policies are missing, in a plan in which they are."""
        args = record.args if isinstance(record.args, tuple) else ()
        missing = any(isinstance(one, PolicyMissing) for one in args)
        return missing and any(fault.harm is Harm.CONFIG for fault in self.plan.faults)


class _Ears(logging.Handler):
    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        self._run.heard(record)
