"""The partitions of one owner, from takeover to hand-over.

Whatever goes wrong with a partition ends the same way: it is dropped, and taken anew if the group
still names us (rules 3 and 4). What only an operator can cure stops that partition alone.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator, Iterable

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.figures import Figures
from symphainy_processors.owner.governing import PolicyMissing
from symphainy_processors.owner.opening import UNDECIDED
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Input, Ports
from symphainy_processors.owner.publishing import Publishing
from symphainy_processors.owner.restoring import Restoring
from symphainy_processors.owner.takeover import Takeover
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas.errors import OperatorError, SymphainyError

log = logging.getLogger(__name__)


class Holding:
    """Takes, keeps and hands over partitions."""

    def __init__(
        self,
        name: str,
        ports: Ports,
        options: OwnerOptions,
        named: Callable[[], frozenset[int]],
    ) -> None:
        """`named` asks the group which partitions are ours."""
        self.owned: dict[int, OwnedPartition] = {}
        self._ports = ports
        self._options = options
        self._clock = ports.clock
        self._port, self._intake = ports.port, ports.intake
        self.figures = Figures()
        shell = Shell(
            name,
            ports.port,
            ports.world,
            Contracts(),
            options,
            self.figures,
            prove=ports.prove,
            content=ports.content,
        )
        self._restoring = Restoring(ports.journal, ports.state_log, options)
        self._takeover = Takeover(
            shell, self._restoring, ports.stores, ports.intake, ports.clock, named
        )
        self._publishing: dict[int, Publishing] = {}
        self._held: set[int] = set()
        self._flushed_at: dict[int, float] = {}
        self._taken_at: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        self._under_way: tuple[int, Generator[None, None, None]] | None = None
        self._more_due = False
        self._in_slice = False  # a slice may itself find its partition lost
        self._chance = random.Random(f"{name}/{ports.world.jitter()}")

    # --- taking ---------------------------------------------------------------------------------

    def take_over_a_slice(self) -> bool:
        """Go on with what reads the journal; whether more of it is to be done."""
        if self._under_way is None:
            return False
        p, work = self._under_way
        self._in_slice = True
        try:
            next(work)
        except StopIteration:
            self._under_way = None
        except OperatorError as error:
            self._under_way = None
            log.error("partition %d is stopped: %s", p, error)
            self._later(p, self._options.operator_retry_s)
        except SymphainyError as error:
            self._under_way = None
            log.warning("partition %d cannot be taken now: %s", p, error)
            self._later(p, self._random_pause())
        finally:
            self._in_slice = False
        return self._under_way is not None

    def _begin(self, named: frozenset[int], now: float) -> None:
        """Choose the next work for the one reader of the journal."""
        if self._under_way is not None:
            if self._under_way[0] in named:
                return
            self._under_way[1].close()
            self._under_way = None
        for p in sorted(named - self.owned.keys()):
            if self._not_before.get(p, 0.0) <= now:
                self._under_way = p, self._take(p)
                return
        for p, publishing in self._publishing.items():
            if publishing.gap and self._not_before.get(p, 0.0) <= now:
                self._under_way = p, publishing.fill_gap(self._restoring)
                return

    def _take(self, p: int) -> Generator[None, None, None]:
        began = self._clock.monotonic()
        owned = yield from self._takeover.take(p)
        if owned is None:
            self._later(p, self._random_pause())
            return
        now = self._clock.monotonic()
        self.figures.takeovers += 1
        self.figures.takeover_s += now - began
        self.owned[p] = owned
        self._flushed_at[p] = self._taken_at[p] = now
        self._publishing[p] = Publishing(owned, self._ports.state_log, self._options)
        self._guard(p, owned.take_over)
        if p in self.owned:
            self._intake.start(p, owned.positions.intents_next, owned.positions.steps_next)

    def _random_pause(self) -> float:
        return self._chance.uniform(*self._options.retry_takeover_s)

    def _later(self, p: int, seconds: float) -> None:
        self._not_before[p] = self._clock.monotonic() + seconds

    # --- keeping --------------------------------------------------------------------------------

    def take(self, taken: Input) -> None:
        """An input of a partition; dropped if we do not own it."""
        owned = self.owned.get(taken.partition)
        if owned is not None:
            self._guard(taken.partition, lambda: owned.take(taken))

    def housekeep(self, named: frozenset[int]) -> bool:
        """Whatever is not input. `named` are the partitions that the group gives us.

        True if more is due than was decided: come again soon.
        """
        now = self._clock.monotonic()
        for p in [p for p, owned in self.owned.items() if owned.lost]:
            self._drop(p)
        self.hand_over(self.owned.keys() - named)
        self._renew(now)
        self._begin(named, now)
        self._hear_of_state()
        self._more_due = False
        for p in list(self.owned):
            self._guard(p, lambda p=p: self._keep(p, now))  # type: ignore[misc]
        return self._more_due

    def _keep(self, p: int, now: float) -> None:
        owned = self.owned[p]
        self._more_due |= owned.tick()
        behind = owned.state.unflushed
        late = (now - self._flushed_at[p]) * 1_000 >= self._options.flush_every_ms
        if behind >= self._options.flush_at or late:
            self._flushed_at[p] = now
            owned.state.flush()
        self._publishing[p].turn(int(now * 1_000))
        self._hold(p, owned)

    def _hold(self, p: int, owned: OwnedPartition) -> None:
        """Intents wait in the log while too much is under way; reports go on.

        What waits or rests does not count: an intent behind those that wait may be what moves it.
        So nothing is held while a suspended tenant has something ready: it may be resumed.
        """
        most, busy = self._options.max_live, owned.state.live - owned.state.idle
        if p in self._held:
            low = busy <= most - most // 10  # so that it does not flap
            if low or owned.dispatching.dispatcher.stopped:
                self._held.discard(p)
                self._intake.hold(p, held=False)
        elif busy >= most and not owned.dispatching.dispatcher.stopped:
            log.warning("partition %d: %d executions are under way; its intents wait", p, busy)
            self._held.add(p)
            self._intake.hold(p, held=True)

    def _hear_of_state(self) -> None:
        now = int(self._clock.monotonic() * 1_000)
        for outcome in self._ports.state_log.poll():
            publishing = self._publishing.get(outcome.partition)
            if publishing is not None:
                publishing.took_place(outcome, now)

    def _renew(self, now: float) -> None:
        """Begin a new term where the old one has grown long, one at a time (rule 18)."""
        for p, since in self._taken_at.items():
            if (now - since) * 1_000 >= self._options.renew_term_ms:
                self.hand_over({p})
                return

    def _guard(self, p: int, work: Callable[[], None]) -> None:
        """Local state that breaks is a doubt like any other."""
        try:
            work()
        except StoreBroken as error:
            log.warning("partition %d: local state is removed: %s", p, error)
            self._drop(p)
            self._remove_state(p)
        except (PolicyMissing, *UNDECIDED) as error:
            log.error("partition %d is stopped: %s", p, error)
            self._drop(p)
            self._later(p, self._options.operator_retry_s)

    def _remove_state(self, p: int) -> None:
        try:
            self._ports.stores.drop(p)
        except StoreBroken as error:
            log.error("partition %d is stopped: its local state cannot be removed: %s", p, error)
            self._later(p, self._options.operator_retry_s)

    # --- giving up ------------------------------------------------------------------------------

    def hand_over(self, leaving: Iterable[int]) -> None:
        """What is acknowledged is acknowledged; nothing new is decided. One shared deadline."""
        going = sorted(p for p in leaving if p in self.owned)
        if not going:
            return
        log.info("handing over partitions %s", going)
        self._intake.stop(going)
        half = self._options.revoke_deadline_s / 2
        self._port.flush(half)
        for p in going:
            self.owned[p].finish()
        self._port.flush(half)
        for p in going:
            self._flush_last(p)
            self._forget(p)

    def _flush_last(self, p: int) -> None:
        try:
            self.owned[p].state.flush()
        except StoreBroken as error:
            log.warning("partition %d: the last flush failed: %s", p, error)

    def drop_all(self) -> None:
        """Doubt everything."""
        for p in list(self.owned):
            self._drop(p)

    def _drop(self, p: int) -> None:
        """Forget a partition in doubt; if the group still names us, take it anew later."""
        log.warning("partition %d: term lost", p)
        self.figures.terms_lost += 1
        self._intake.stop([p])
        self._forget(p)
        self._later(p, self._random_pause())

    def _forget(self, p: int) -> None:
        """Its completions that are still to come find it lost, and do nothing."""
        owned = self.owned.pop(p)
        owned.ledger.lost = True
        owned.dispatching.close()
        if self._under_way is not None and self._under_way[0] == p and not self._in_slice:
            self._under_way[1].close()
            self._under_way = None
        self._held.discard(p)
        self._ports.state_log.stop(p)
        for known in (self._publishing, self._flushed_at, self._taken_at):
            known.pop(p, None)
        owned.state.store.close()

    def close(self) -> None:
        """Stop what is under way."""
        if self._under_way is not None:
            self._under_way[1].close()
            self._under_way = None
