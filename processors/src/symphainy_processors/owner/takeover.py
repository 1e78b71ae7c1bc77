"""Taking ownership: restore, take a term, fold to it, ask the group once more (rule 1).

A generator that the loop drives in slices: partitions that are owned are served meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Intake
from symphainy_processors.owner.restoring import Restored, Restoring
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_runtime.state.store import StateStore, StoreBroken, Stores
from symphainy_schemas.errors import OperatorError
from symphainy_transport.clock import Clock

log = logging.getLogger(__name__)
Taken = Generator[None, None, OwnedPartition | None]


class Takeover:
    """Takes partitions for one owner, one at a time."""

    def __init__(
        self,
        shell: Shell,
        restoring: Restoring,
        stores: Stores,
        intake: Intake,
        clock: Clock,
        named: Callable[[], frozenset[int]],
    ) -> None:
        """`named` asks the group which partitions are ours."""
        self._shell = shell
        self._restoring = restoring
        self._stores = stores
        self._intake = intake
        self._clock = clock
        self._named = named

    def take(self, p: int) -> Taken:
        """Own `p`, flushed and ready for its first input; None if it cannot be now.

        Raises:
            OperatorError: only an operator can help; nothing was touched.
            Unavailable: Kafka does not answer.
        """
        began = self._clock.monotonic()
        store = self._stores.open(p)
        try:
            owned = yield from self._take(p, store)
        except StoreBroken as error:
            log.warning("partition %d: local state is removed: %s", p, error)
            store.close()
            self._stores.drop(p)
            return None
        except BaseException:
            store.close()
            raise
        if owned is None:
            store.close()
            return None
        log.info(
            "owning %d: term %d, %d live executions, taken in %.2f s",
            p,
            owned.ledger.term,
            owned.state.live,
            self._clock.monotonic() - began,
        )
        return owned

    def _take(self, p: int, store: StateStore) -> Taken:
        restored = yield from self._restoring.restore(p, store)
        self._check_inputs(p, restored)
        term = yield from self._append_term(p, restored)
        if term is None:
            return None
        yield from self._restoring.fold(p, restored, term + 1)
        if restored.standing.term != term:
            log.warning("partition %d: overtaken while taking it", p)
            return None
        if p not in self._named():
            return None
        state = restored.state
        left = {*state.settled.turn, *state.work.not_sent(state.acted_to)}
        records = yield from self._restoring.records(p, left)
        if p not in self._named():
            return None
        return OwnedPartition(
            p, state, restored.standing, restored.before_term, self._shell, records
        )

    def _check_inputs(self, p: int, restored: Restored) -> None:
        """Retention must not have passed what was not decided."""
        kept = self._intake.first_kept(p)
        nexts = restored.state.intents_next, restored.state.steps_next
        for topic, first, following in zip(("intents", "steps"), kept, nexts, strict=True):
            if first > following:
                raise OperatorError(
                    f"{topic}/{p} begins at {first}, but everything from {following} on is not "
                    "decided yet: retention has removed it.",
                    code="position_out_of_range",
                    cure="See docs/operations.md, Expired positions.",
                )

    def _append_term(self, p: int, restored: Restored) -> Generator[None, None, int | None]:
        state = restored.state
        value = ownership_taken(
            self._shell.owner,
            max(self._shell.world.now_ms(), state.last_at),
            state.settled.standing,
            Positions(state.intents_next, state.steps_next),
            state.acted_to,
        )
        answers: list[int | None] = []
        self._shell.port.append(p, b"", value, lambda offset, _at: answers.append(offset))
        deadline = self._clock.monotonic() + self._shell.options.term_timeout_s
        while not answers and self._clock.monotonic() < deadline:
            yield
        return answers[0] if answers else None
