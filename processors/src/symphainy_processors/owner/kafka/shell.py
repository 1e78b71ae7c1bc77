"""All ports of one owner on a real cluster, made and given up together."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from types import TracebackType

from symphainy_processors.fold.content import install
from symphainy_processors.owner.kafka.intake import KafkaIntake
from symphainy_processors.owner.kafka.journal import KafkaJournal
from symphainy_processors.owner.kafka.membership import GroupMembership
from symphainy_processors.owner.kafka.port import KafkaPort
from symphainy_processors.owner.kafka.state_log import KafkaStateLog
from symphainy_processors.owner.kafka.world import RunningWorld
from symphainy_processors.owner.opening import legible
from symphainy_processors.owner.ports import Ports
from symphainy_processors.owner.proving import Proving
from symphainy_runtime.configuration import ConfigReader
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.state.rocks import RocksStores
from symphainy_transport.clock import Clock
from symphainy_transport.privacy.content import Content


class KafkaShell:
    """The ports of one owner, and their connections; also a context manager."""

    def __init__(self, settings: RuntimeSettings, name: str, clock: Clock) -> None:
        """Connect as `name`, which is unique among owners and stays through restarts: it names
        the group's member and the folder of the local state.

        Raises:
            Unavailable: Kafka did not answer, or has no such topics.
        """
        with ExitStack() as opened:
            config = ConfigReader(settings, f"{name}-config")
            opened.callback(config.close)
            config.catch_up()
            port = KafkaPort(settings, name, seal=settings.sealing())
            opened.callback(port.close)
            intake = KafkaIntake(settings, f"{name}-intake")
            opened.callback(intake.close)
            journal = KafkaJournal(settings, f"{name}-journal")
            opened.callback(journal.close)
            state_log = KafkaStateLog(settings, f"{name}-state")
            opened.callback(state_log.close)
            world = RunningWorld(clock, config)
            content = Content.from_settings(settings)
            install(legible(content))
            self.ports = Ports(
                clock=clock,
                world=world,
                port=port,
                intake=intake,
                membership=partial(GroupMembership, settings, name),
                journal=journal,
                state_log=state_log,
                stores=RocksStores(settings.data_dir / "state" / name),
                content=content,
                prove=Proving(settings.intent_secrets(), world.key).problem,
            )
            self._connections = opened.pop_all()

    def close(self) -> None:
        """Give up every connection but the membership, which its owner closes first."""
        self._connections.close()

    def __enter__(self) -> KafkaShell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
