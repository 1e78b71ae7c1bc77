"""An owner's process: the real owner on simulated ports, started, driven, and made to suffer."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import unpack_checkpoint
from symphainy_processors.owner.governing import PolicyMissing
from symphainy_processors.owner.loop import Owner
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Ports
from symphainy_schemas.errors import SymphainyError
from symphainy_schemas.records import Capability, PolicySet, Tenant
from symphainy_simulation.actors.ports import Lateness, SimPort, SimWorld
from symphainy_simulation.actors.reading import SimIntake, SimJournal, SimMembership
from symphainy_simulation.actors.state_log import SimStateLog, StateFaults
from symphainy_simulation.checking.history import Snapshot
from symphainy_simulation.world.disk import Disk, SimStores
from symphainy_simulation.world.events import MS, Event, Runaway
from symphainy_simulation.world.group import Group
from symphainy_simulation.world.process import Crash, Process
from symphainy_simulation.world.producing import Ordained
from symphainy_simulation.world.state_topic import StatePartition
from symphainy_simulation.world.universe import Universe

RESTART_US = 200 * MS  # after it ended by itself
IDLE_US = 20 * MS  # who has nothing to do for so long may as well be scheduled later
SNAPSHOTS = 0.02  # of the turns


@dataclass(frozen=True)
class Setting:
    """What all owners of a run share."""

    universe: Universe
    options: OwnerOptions
    group: Group
    state: dict[int, StatePartition]
    capabilities: Mapping[str, Capability]
    tenants: Mapping[str, Tenant]
    policies: Callable[[str, int, bytes], PolicySet | None]
    message_timeout_ms: int


@dataclass
class Seen:
    """What is noted about owners for the checkers."""

    snapshots: dict[int, list[Snapshot]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """What must not happen to an owner at all."""
    most_in_flight: int = 0

    def note(self, partition: int, snapshot: Snapshot) -> None:
        """Live state, or what a disk holds."""
        self.snapshots.setdefault(partition, []).append(snapshot)


class OwnerProcess:
    """Implements `actors.ports.Host`."""

    def __init__(self, name: str, setting: Setting, seen: Seen) -> None:
        self.universe = setting.universe
        self.process = Process(name, setting.universe.events)
        self.disk = Disk(setting.universe.stream(f"disk/{name}"))
        self.state_faults = StateFaults()
        self.late_config = Lateness()
        self.owner: Owner | None = None
        self.ordained: list[Ordained] = []
        """Fates of records that this owner will produce."""
        self._setting = setting
        self._seen = seen
        self._events = setting.universe.events
        self._chance = setting.universe.stream(f"owner/{name}")
        self._port: SimPort | None = None
        self._lives: list[int] = []
        """Of the turns on the stack, innermost last."""
        self._calls = 0
        self._armed: list[tuple[int, int, Event]] = []
        self._next: int | None = None
        self._idle = 0
        self._woken = False
        self.stopping = False

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new life, unless it lives."""
        if self.process.alive:
            return
        self.process.begin()
        self.stopping = False
        self.universe.tell(f"owner {self.process.name} starts")
        self._next = None
        self._run_guarded(self._boot)

    def _boot(self) -> None:
        setting = self._setting
        self._port = SimPort(self, setting.message_timeout_ms)
        self._port.producer.ordained = self.ordained
        self._port.producer.landed = self.universe.landed(self.process.name)
        seat = setting.group.join(self.process)
        ports = Ports(
            clock=self.process.clock,
            world=SimWorld(
                self,
                setting.capabilities.get,
                setting.tenants.get,
                setting.policies,
                self.late_config,
            ),
            port=self._port,
            intake=SimIntake(self),
            membership=lambda revoked: SimMembership(self, seat, revoked),
            journal=SimJournal(self),
            state_log=SimStateLog(self, setting.state, self.state_faults),
            stores=SimStores(self.disk, self.call),
        )
        self.owner = Owner(self.process.name, ports, setting.options)

    def kill(self, how: str = "is killed", late_us: int = MS) -> None:
        """kill -9; what it had sent may still land within `late_us`."""
        if self.process.alive:
            self.universe.tell(f"owner {self.process.name} {how}")
            self._gone(late_us)

    def _gone(self, late_us: int) -> None:
        self.process.die()
        if self._port is not None:
            self._port.producer.die(late_us)
        self.disk.process_died()
        self.owner = self._port = None
        self._armed = []

    def stop(self) -> None:
        """SIGTERM: it ends after its turn, cleanly."""
        self.stopping = True
        self.wake()

    def _end(self, owner: Owner) -> None:
        self.universe.tell(f"owner {self.process.name} stops")
        owner.close()
        self._gone(MS)

    # --- turns ----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something came: the next turn is soon."""
        if self._lives and self._lives[-1] == self.process.life:
            self._woken = True
        elif self.process.alive:
            self._turn_in(self._chance.randrange(20, 300))

    def idle(self, us: int) -> None:
        """The turn would wait for so long."""
        self._idle = max(self._idle, 8 * us if us < IDLE_US else 2 * us)

    def _turn_in(self, us: int) -> None:
        at = self._events.now + us
        if self._next is None or at < self._next:
            self._next = at
            self.process.later(us, lambda: self._turn(at))

    def _turn(self, at: int) -> None:
        if self._next == at and self.owner is not None and not self._on_stack():
            self._next = None
            self._run_guarded(self._one_turn)

    def _on_stack(self) -> bool:
        return self.process.life in self._lives

    def _one_turn(self) -> None:
        owner, port = self.owner, self._port
        assert owner is not None
        assert port is not None
        if self.stopping:
            self._end(owner)
            return
        owner.turn()
        self._seen.most_in_flight = max(self._seen.most_in_flight, len(port))
        if self._chance.random() < SNAPSHOTS:
            self.snapshot()

    def _run_guarded(self, what: Callable[[], None]) -> None:
        """Run owner code; whatever ends the process ends it here."""
        life = self.process.life
        self._lives.append(life)
        self._idle, self._woken = 0, False
        try:
            what()
        except Crash:
            pass
        except Runaway:
            raise
        except PolicyMissing as error:  # of one partition, and the others go on
            self._seen.faults.append(f"owner {self.process.name} ended: {error}")
            self._ended_by(error, life)
        except SymphainyError as error:
            self._ended_by(error, life)
        except Exception as error:
            self._seen.faults.append(
                f"owner {self.process.name} died of {type(error).__name__}: {error}"
            )
            self.universe.errors.append(error)
            self._ended_by(error, life)
        finally:
            self._lives.pop()
        if life == self.process.life and self.process.alive:
            us = self._chance.randrange(50, 400)
            self._turn_in(us if self._woken else max(4 * us, self._idle))

    def _ended_by(self, error: Exception, life: int) -> None:
        if life == self.process.life and self.process.alive:
            self.universe.tell(f"owner {self.process.name} ends: {error}")
            self._gone(MS)
            self._events.after(RESTART_US, self.start)

    # --- calls into the world -------------------------------------------------------------------

    def call(self) -> None:
        """Die, stand still or be overtaken here, if that was arranged."""
        if (self._lives and self._lives[-1] != self.process.life) or not self.process.alive:
            raise Crash
        self._calls += 1
        while self._armed and self._armed[0][0] <= self._calls:
            _, _, action = heapq.heappop(self._armed)
            life = self.process.life
            action()
            if life != self.process.life or not self.process.alive:
                raise Crash

    def arm(self, calls: int, action: Event) -> None:
        """Let `action` happen inside the `calls`th call from now."""
        heapq.heappush(self._armed, (self._calls + calls, self._events.now, action))

    def disarm(self) -> None:
        """Nothing that was armed happens any more."""
        self._armed = []

    def wait(self, us: int) -> None:
        """Let the world go on for at most `us`, or until a completion comes."""
        life, until = self.process.life, self._events.now + us
        self._woken = False
        while self._events.now < until and not self._woken:
            self._events.run_to(min(until, self._events.now + 500))
            self._stand(life)

    def _stand(self, life: int) -> None:
        """Wait out a SIGSTOP; die if it was killed meanwhile."""
        while self.process.frozen and life == self.process.life:
            self._events.run_to(self._events.now + 5 * MS)
        if life != self.process.life or not self.process.alive:
            raise Crash

    def preempt(self, us: int) -> None:
        """In the middle of whatever it does, the others go on."""
        life = self.process.life
        self._events.run_to(self._events.now + us)
        self._stand(life)

    # --- looking in -----------------------------------------------------------------------------

    def snapshot(self) -> None:
        """Note live state wherever nothing is in flight."""
        for p, owned in sorted(self.owner.partitions.items() if self.owner is not None else ()):
            if not owned.lost and not owned.ledger.in_flight and owned.state.settled.offset >= 0:
                as_of = owned.state.settled.offset
                self._seen.note(p, Snapshot(as_of, owned.state.everything()))

    def note_disk(self) -> None:
        """Note what the disk holds, as of its checkpoint."""
        for p, files in sorted(self.disk.files.items()):
            value = files.store.get(layout.CHECKPOINT)
            found = None if value is None else unpack_checkpoint(value)
            if not files.trusted or found is None or found.offset < 0:
                continue
            states = {}
            for start, end in layout.STATES:
                for _, packed in files.store.scan(start, end, 1 << 30):
                    body = layout.unpack(packed)
                    states[layout.name_of(body)] = body
            self._seen.note(p, Snapshot(found.offset, states))
