"""The verdict on one window of a chaos run: everything read back from Kafka, and judged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
from tests.support.system import eventually

from symphainy_schemas import ids
from symphainy_schemas.events import event_type
from symphainy_simulation.checking import Acknowledged, HandlerStart, Violation, check_book
from symphainy_simulation.checking.history import Carried
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import read
from symphainy_simulation.checking.reading import ClusterReader, Marks
from symphainy_simulation.checking.results import repeated_tasks
from symphainy_simulation.checking.retries import lateness_ms
from symphainy_simulation.checking.windows import carry

Gateways = Mapping[str, httpx.Client]
"""A client of the gateway for each tenant."""
CATCH_UP_S = 30.0
SAMPLE = 25  # executions of each partition whose read model is compared


@dataclass
class Verdict:
    """What was found, and how much was looked at."""

    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lateness_ms: list[int] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    """Where the read model differs from the fold."""


@dataclass
class Judge:
    """Judges window after window; keeps only where the last one ended."""

    reader: ClusterReader
    dedupe_window_ms: int
    skew_ms: int
    marks: Marks = field(default_factory=dict)
    carried: dict[int, Carried] = field(default_factory=dict)

    def judge(
        self,
        ends: Marks,
        acknowledged: Sequence[Acknowledged],
        starts: Sequence[HandlerStart],
        gateways: Gateways,
    ) -> Verdict:
        """Read what came since the last window, partition by partition, and check it."""
        verdict = Verdict()
        window = self.reader.window(self.marks, ends, self.carried)
        carried: dict[int, Carried] = {}
        for p in range(self.reader.partitions):
            history = self.reader.history(
                p, window, dedupe_window_ms=self.dedupe_window_ms, skew_ms=self.skew_ms
            )
            history = replace(
                history,
                acknowledged=[one for one in acknowledged if one.partition == p],
                starts=[one for one in starts if ids.partition_of(one.execution_id) == p],
                task_duplicates=None,  # told as a figure: the transport may repeat
            )
            book = Book(read(history))
            verdict.violations += check_book(book)
            verdict.lateness_ms += lateness_ms(book)
            verdict.counts.update(_counts(book))
            verdict.unlike += _compare(book, p, gateways)
            carried |= carry(book)
        self.marks, self.carried = dict(ends), carried
        return verdict


def _counts(book: Book) -> Counter[str]:
    counts: Counter[str] = Counter()
    for logs, lives in book.partitions():
        counts["intents"] += len(logs.intents)
        counts["decisions"] += len(logs.valid)
        counts["stale records"] += len(logs.entries) - len(logs.valid)
        counts["executions"] += sum(1 for life in lives.all() if life.carried is None)
        counts["state rows"] += len(logs.states)
        for _, event in logs.told():
            counts[event_type(event)] += 1
    counts["tasks repeated"] += len(repeated_tasks(book))
    counts["tasks"] += len(book.logs.tasks)
    counts["handler starts"] += len(book.history.starts)
    counts["acknowledged"] += len(book.history.acknowledged)
    return counts


def _compare(book: Book, p: int, gateways: Gateways) -> list[str]:
    """The read model of some executions that began in this window, against the journal."""
    latest = [lives[-1] for _, all_ in book.partitions() for lives in all_.by_id.values()]
    lives = [
        life for life in latest if life.entries and life.entries[0].record.tenant_id in gateways
    ]
    some = random.Random(p).sample(lives, min(SAMPLE, len(lives)))
    unlike: list[str] = []
    for life in some:
        gateway = gateways[life.entries[0].record.tenant_id]
        try:  # it may lag
            eventually(partial(_like, life, gateway), "", CATCH_UP_S)
        except AssertionError:
            unlike += _unlike(life, gateway)
    return unlike


def _like(life: Life, gateway: httpx.Client) -> bool:
    return not _unlike(life, gateway)


def _unlike(life: Life, gateway: httpx.Client) -> list[str]:
    path = f"/v1/executions/{life.execution_id}"
    document = gateway.get(path).json()
    told = [event["type"] for event in gateway.get(f"{path}/events").json().get("events", [])]
    told_in_order = sorted([*life.entries, *life.repeats], key=lambda entry: entry.offset)
    wanted = [event_type(event) for entry in told_in_order for event in entry.record.events]
    status = {
        "IntentRejected": "rejected",
        "ExecutionSucceeded": "succeeded",
        "ExecutionFailed": "failed",
        "ExecutionCancelled": "cancelled",
        "ExecutionCompensated": "compensated",
    }.get(
        type(life.end.event).__name__ if life.end is not None else "",
        "stuck" if life.is_stuck else "running",
    )
    found = []
    if document.get("status") != status:
        found.append(f"{path}: status {document.get('status')}, the journal says {status}")
    # After its dedupe window an id may live again; the read model then shows both lives.
    if told[-len(wanted) :] != wanted:
        found.append(f"{path}: events {told}, the journal has {wanted}")
    return found
