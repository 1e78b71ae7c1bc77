"""Everything that the simulated processes share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from symphainy_simulation.world.chance import Chance
from symphainy_simulation.world.events import Events, S
from symphainy_simulation.world.logs import Broker, Log
from symphainy_simulation.world.process import Network
from symphainy_simulation.world.producing import Fate

MOST_EVENTS = 400_000


class Universe:
    """Time, chance, the broker, the network, and the story of the run."""

    def __init__(self, seed: int, most_events: int = MOST_EVENTS) -> None:
        self.chance = Chance(seed)
        self.events = Events(most_events)
        self.broker = Broker(self.events)
        self.network = Network(self.events, self.chance.stream("network"))
        self.story: list[tuple[int, str]] = []
        self.errors: list[Exception] = []
        """What no process may raise."""
        self.notices = True
        """Whether notices of what is to end come at all; nothing may depend on it."""
        self.task_duplicates = 0
        """Copies of tasks that the transport made."""

    def stream(self, name: str) -> Random:
        """A stream of chance."""
        return self.chance.stream(name)

    def log(self, topic: str, partition: int) -> Log:
        """A partition's log."""
        return self.broker.log(topic, partition)

    def landed(self, whose: str) -> Callable[[Fate, Log, int], None]:
        """What tells of the strange fates of a producer's records."""

        def landed(fate: Fate, log: Log, offset: int) -> None:
            place = f" at {offset}" if offset >= 0 else ""
            self.tell(f"a record of {whose} to {log.topic}/{log.partition} {fate}{place}")
            if fate is Fate.TWICE and log.topic.startswith("tasks."):
                self.task_duplicates += 1

        return landed

    def tell(self, sentence: str) -> None:
        """Put something into the story."""
        self.story.append((self.events.now, sentence))

    def told(self) -> list[str]:
        """The story so far, a line each."""
        return [f"{at / S:9.3f} s  {sentence}" for at, sentence in self.story]
