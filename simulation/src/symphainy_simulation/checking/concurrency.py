"""G13: by journaled order, never more is outstanding for a concurrency key, or for a tenant, than
its limit allows.

A step holds its place from its dispatch until its result, or until its current delivery is given
up or handed back. A new delivery of what holds a place takes no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_simulation.checking.inputs import input_at
from symphainy_simulation.checking.lives import ENDS, Book, Life, Lives
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.violation import Violation

G = "G13"
Slot = tuple[str, str]
_RESULTS = (e.StepSucceeded, e.StepFailed)
_NOT_OUTSTANDING = (*_RESULTS, e.StepReady, e.StepHeld, e.StepCancelled)
_GIVEN_UP = (e.StepHandedBack, e.StepSuspended, e.DeliveryClosed)


def check(book: Book) -> Iterator[Violation]:
    """Count the places of every partition."""
    for logs, lives in book.partitions():
        yield from _partition(book, logs, lives)


class _Places:
    """Who holds places, by what shares a limit."""

    def __init__(self) -> None:
        self._held: dict[str, set[Slot]] = defaultdict(set)
        self._groups: dict[Slot, set[str]] = defaultdict(set)

    def take(self, group: str, slot: Slot) -> int:
        """Hold a place; how many are held then."""
        self._held[group].add(slot)
        self._groups[slot].add(group)
        return len(self._held[group])

    def free(self, slot: Slot) -> None:
        """Hold it no more."""
        for group in self._groups.pop(slot, ()):
            self._held[group].discard(slot)


def _partition(book: Book, logs: PartitionLogs, known: Lives) -> Iterator[Violation]:
    lives: dict[str, Iterator[Life]] = {name: iter(x) for name, x in known.by_id.items()}
    now: dict[str, Life] = {}
    current: dict[Slot, int] = {}
    places = _Places()
    for entry in logs.valid:
        name = entry.record.execution_id
        for event in entry.record.events:
            if isinstance(event, e.IntentReceived):
                now[name] = next(life for life in lives[name] if life.carried is None)
            elif isinstance(event, e.StepDispatched):
                current[name, event.step] = event.delivery
                yield from _dispatched(book, entry, event, now.get(name), places)
            elif isinstance(event, _NOT_OUTSTANDING):
                places.free((name, event.step))
            elif isinstance(event, _GIVEN_UP):
                if event.delivery == current.get((name, event.step)):
                    places.free((name, event.step))
            elif isinstance(event, ENDS):
                now.pop(name, None)


def _dispatched(
    book: Book,
    entry: Entry,
    event: e.StepDispatched,
    life: Life | None,
    places: _Places,
) -> Iterator[Violation]:
    tenant, slot = entry.record.tenant_id, (entry.record.execution_id, event.step)
    limits = {f"tenant {tenant}": book.history.tenant_limits.get(tenant, 0)}
    if life is not None:
        key, limit = _key(life, event.step, entry.offset)
        limits[f"key {key} of tenant {tenant}"] = limit
    for group, limit in limits.items():
        held = places.take(group, slot)
        if limit and held > limit:
            sentence = f"{held} steps of {group} are outstanding; the limit is {limit}"
            yield Violation(G, sentence, (entry.place,))


def _key(life: Life, step: str, offset: int) -> tuple[str, int]:
    """What a step shares a limit by, and that limit; what undoes a step shares none."""
    one, resolved = life.planned(step), life.resolved
    if one is None:
        none = resolved is None or not resolved.concurrency_key
        return ("", 0) if none or resolved is None else _whole(resolved)
    if undone_by(step):
        return "", 0
    if not one.concurrency_key:
        return f"{life.execution_id}:{one.step}", one.at_most
    got = input_at(life, step, offset) or {}
    value = got.get(one.concurrency_key.removeprefix("/")) if isinstance(got, dict) else None
    return f"{one.intent_type}:{msgspec.json.encode(value).decode()}", one.key_concurrency


def _whole(resolved: e.CapabilityResolved) -> tuple[str, int]:
    return resolved.concurrency_key, resolved.key_concurrency
