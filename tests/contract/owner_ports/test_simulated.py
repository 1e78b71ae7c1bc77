"""The simulated adapters keep the ports' contract, so what the simulator shows is about the owner.

Beside the contract nothing is claimed here: what a simulated world may do to an owner is in
tests/simulation.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.contract.owner_ports.harness import PARTITIONS, Entry
from tests.contract.owner_ports.intake_contract import IntakeContract
from tests.contract.owner_ports.journal_contract import JournalContract
from tests.contract.owner_ports.membership_contract import MembershipContract
from tests.contract.owner_ports.port_contract import PortContract
from tests.contract.owner_ports.state_log_contract import StateLogContract

from symphainy_processors.owner.ports import Ports
from symphainy_simulation.actors.ports import SimPort, SimWorld
from symphainy_simulation.actors.reading import SimIntake, SimJournal, SimMembership
from symphainy_simulation.actors.state_log import SimStateLog, StateFaults
from symphainy_simulation.world.disk import Disk, SimStores
from symphainy_simulation.world.events import MS
from symphainy_simulation.world.group import Group
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.state_topic import StatePartition
from symphainy_simulation.world.universe import Universe

SESSION_MS = 900
MESSAGE_TIMEOUT_MS = 500


class PatientHost:
    """A process whose every wait lets the world go on."""

    def __init__(self, universe: Universe, name: str) -> None:
        self.universe = universe
        self.process = Process(name, universe.events)
        self.process.begin()
        self._woken = False

    def call(self) -> None:
        """Nothing befalls it."""

    def wait(self, us: int) -> None:
        """Until it is woken, or so long."""
        until = self.universe.events.now + us
        self._woken = False
        while self.universe.events.now < until and not self._woken:
            self.universe.events.run_to(min(until, self.universe.events.now + MS))

    def idle(self, us: int) -> None:
        """As a real call would."""
        self.wait(us)

    def wake(self) -> None:
        """Something came."""
        self._woken = True


class SimulatedHarness:
    """Implements `harness.Harness`."""

    def __init__(self) -> None:
        self.universe = Universe(7, most_events=10_000_000)
        events, trace = self.universe.events, self.universe.broker.trace
        self._state = {p: StatePartition(p, events, trace) for p in range(PARTITIONS)}
        self._group = Group(self.universe, "owners", PARTITIONS, SESSION_MS)
        self._hosts: dict[str, PatientHost] = {}

    def owner(self, name: str) -> Ports:
        """The ports of one more owner."""
        host = self._hosts[name] = PatientHost(self.universe, name)
        disk = Disk(self.universe.stream(name))
        return Ports(
            clock=host.process.clock,
            world=SimWorld(host, lambda _: None, lambda _: None, lambda *_: None),
            port=SimPort(host, MESSAGE_TIMEOUT_MS),
            intake=SimIntake(host),
            membership=lambda revoked: SimMembership(host, self._group.join(host.process), revoked),
            journal=SimJournal(host),
            state_log=SimStateLog(host, self._state, StateFaults()),
            stores=SimStores(disk, host.call),
        )

    def now_ms(self) -> int:
        """The world's clock."""
        return self.universe.events.now_ms

    def go_on(self) -> None:
        """Let 10 ms pass."""
        self.universe.events.run_to(self.universe.events.now + 10 * MS)

    def write(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> None:
        """Append."""
        for key, value in records:
            self.universe.log(topic, partition).append(key, value)

    def read(self, topic: str) -> list[Entry]:
        """Every committed record."""
        if topic == "state":
            found = [w for state in self._state.values() for w in state.everything()]
        else:
            logs = [log for log in self.universe.broker.named(topic) if log.topic == topic]
            found = [w for log in logs for w in log.everything()]
        return [Entry(w.partition, w.offset, w.key, w.value) for w in found]

    def expire(self, topic: str, partition: int, first_kept: int) -> None:
        """Remove what stands below."""
        self.universe.log(topic, partition).start = first_kept

    def half_write_state(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Begin, and never end."""
        state = self._state[partition]
        state.begin(state.initialise(), list(rows))

    def freeze(self) -> None:
        """The broker is gone."""
        self.universe.network.up = False

    def thaw(self) -> None:
        """It is back."""
        self.universe.network.up = True
        self.universe.network.changed()


@pytest.fixture
def harness() -> SimulatedHarness:
    """A world of this test's own."""
    return SimulatedHarness()


class TestSimPort(PortContract):
    """`SimPort`."""


class TestSimIntake(IntakeContract):
    """`SimIntake`."""


class TestSimMembership(MembershipContract):
    """`SimMembership`."""


class TestSimJournal(JournalContract):
    """`SimJournal`."""


class TestSimStateLog(StateLogContract):
    """`SimStateLog`."""
