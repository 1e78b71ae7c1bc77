"""Which positions an operator may move, and to where. Pure.

A position may be moved where that breaks no guarantee. An owner's is part of the journal, and a
worker's commit says what its owner may deliver anew: neither is a place to read from again. The
read model is a fold, so it can only begin anew. An auditor's next checkpoint continues the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from symphainy_runtime.offsets.lag import AUDITOR, OWNER, PROJECTOR, WORKER, Lag
from symphainy_schemas.errors import OperatorError


class OffsetRefused(OperatorError):
    """To move the position would break a guarantee.

    Operator action: what the message's cure says.
    """

    code = "offset_refused"


class Move(Struct, frozen=True, kw_only=True):
    """One position, from where to where; `note` says what comes with it."""

    topic: str
    partition: int
    position: int | None
    to: int
    note: str = ""

    @property
    def again(self) -> int:
        """How many offsets are read once more; negative: how many are skipped."""
        return 0 if self.position is None else self.position - self.to


def require_movable(role: str) -> None:
    """Raises `OffsetRefused` if positions of that role cannot be moved at all."""
    if role == OWNER:
        raise OffsetRefused(
            "An owner's position is in the journal, not in its consumer group: each decision names "
            "the next input. Moved, it would decide acknowledged intents twice or never (G1, G2).",
            field="ROLE",
            cure="To state work again use `symphainy redrive`; where retention has removed what "
            "was not decided see docs/operations.md, Expired positions.",
        )
    if role == AUDITOR:
        raise OffsetRefused(
            "An auditor's next checkpoint continues the last one: moved, the evidence would have a "
            "gap, or two accounts of one range (G12).",
            field="ROLE",
            cure="`symphainy audit verify` says how the journal and the evidence stand.",
        )


def planned(lag: Lag, wanted: int | None) -> Move:
    """Where a position would go; `wanted` None is the earliest offset that is kept.

    Raises:
        OffsetRefused: it may not go there.
    """
    require_movable(lag.role)
    if lag.role == PROJECTOR:
        return _projector(lag, wanted)
    if lag.role == WORKER:
        return _worker(lag, wanted)
    to = lag.first_kept if wanted is None else wanted
    if not lag.first_kept <= to <= lag.end:
        raise OffsetRefused(
            f"{lag.topic}/{lag.partition} holds {lag.first_kept} to {lag.end}, not {to}.",
            field="--to-offset",
            cure="State an offset in between, or --to-earliest.",
        )
    return _move(lag, to)


def require_stopped(role: str, group: str, members: Sequence[str]) -> None:
    """Raises `OffsetRefused` while somebody lives in the group."""
    if members:
        raise OffsetRefused(
            f"Group {group} is running: {', '.join(sorted(members)[:5])}. It would go on from "
            "where it stands, and commit over what is set.",
            field="ROLE",
            cure="Stop the workers of the realm, wait for their session (10 s), repeat it."
            if role == WORKER
            else "Stop its members, and repeat it.",
        )


def _projector(lag: Lag, wanted: int | None) -> Move:
    if wanted is not None:
        ahead = lag.position is not None and wanted > lag.position
        why = (
            "What stands between would be missing from the read model for good (G10)."
            if ahead
            else "Documents and lists hold what came after already; it would be in them twice."
        )
        raise OffsetRefused(
            f"The read model of partition {lag.partition} cannot be moved to {wanted}: it is a "
            f"fold of the journal up to {lag.position}. {why}",
            field="--to-offset",
            cure="--to-earliest deletes it and folds the journal anew, while projectors run.",
        )
    cut = f"the journal begins at {lag.first_kept}: what ended before will be missing"
    note = "deleted and folded anew" + (f"; {cut}" if lag.first_kept else "")
    return _move(lag, lag.first_kept, note)


def _worker(lag: Lag, wanted: int | None) -> Move:
    if lag.state and wanted is None:
        note = "tasks that are gone are past their time to start: their owner delivers them anew"
        return _move(lag, lag.first_kept, note)
    stands = f"Workers of realm {lag.group} have committed {lag.topic}/{lag.partition} up to "
    if lag.position is None or (wanted is not None and wanted > lag.position):
        raise OffsetRefused(
            f"{stands}{lag.position}. Tasks that are skipped are not handed back: their executions "
            "would rest until each task's time to start is over.",
            field="--to-offset",
            cure="`symphainy bulk cancel --type …` ends work that is not wanted, with a record.",
        )
    raise OffsetRefused(
        f"{stands}{lag.position}. A task before the commit has its result in the journal; read "
        "again it is handed back and not run, and a worker that runs it runs it twice (G5).",
        field="--to-offset",
        cure="To run work again use `symphainy redrive`, or `symphainy saga retry`.",
    )


def _move(lag: Lag, to: int, note: str = "") -> Move:
    return Move(topic=lag.topic, partition=lag.partition, position=lag.position, to=to, note=note)
