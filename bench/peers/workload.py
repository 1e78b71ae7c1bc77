"""What a workload is, as a value: the flow to submit, how it is measured, and how much of it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bench.peers.peer import Peer
from bench.peers.steps import Json

#: In place of a part to kill: the same runs undisturbed, to compare with.
NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much of each workload is run. None: as much as the workload says."""

    repeat: int = 2
    seconds: float = 15.0
    sequential: int | None = None
    concurrency: tuple[int, ...] | None = None
    runs: int = 2000
    timers: int = 5000
    warm: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload. When its runs have ended, and what of them is counted, stands in `steps.FLOWS`.

    ``measure`` gets a fresh peer, this, the options, and the part to kill.
    """

    title: str
    flow: str
    measure: Callable[[Peer, "Workload", Options, str], AsyncIterator[Json]]
    #: Runs one by one. Fewer of the longer ones: a run of five steps may take a second.
    sequential: int = 0
    #: Runs in flight in closed loops.
    concurrency: tuple[int, ...] = ()
    #: Measured with a fresh stack for each part that is to be killed.
    kills: bool = False
