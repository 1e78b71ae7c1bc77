"""G13: by journaled order, never more is outstanding for a concurrency key, or for a tenant, than
its limit allows.

A step holds its place from its dispatch until its result, or until its current delivery is given
up or handed back. A new delivery of what holds a place takes no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from symphainy_schemas import events as e
from symphainy_simulation.checking.lives import ENDS, Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.violation import Violation

G = "G13"
Slot = tuple[str, str]
_RESULTS = (e.StepSucceeded, e.StepFailed)
_NOT_OUTSTANDING = (*_RESULTS, e.StepReady, e.StepHeld, e.StepCancelled)
_GIVEN_UP = (e.StepHandedBack, e.StepSuspended, e.DeliveryClosed)


def check(book: Book) -> Iterator[Violation]:
    """Count the places of every partition."""
    for logs, _ in book.partitions():
        yield from _partition(book, logs)


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


def _partition(book: Book, logs: PartitionLogs) -> Iterator[Violation]:
    policies: dict[str, e.CapabilityResolved] = {}
    current: dict[Slot, int] = {}
    places = _Places()
    for entry in logs.valid:
        name = entry.record.execution_id
        for event in entry.record.events:
            if isinstance(event, e.CapabilityResolved):
                policies[name] = event
            elif isinstance(event, e.StepDispatched):
                current[name, event.step] = event.delivery
                yield from _dispatched(book, entry, event, policies.get(name), places)
            elif isinstance(event, _NOT_OUTSTANDING):
                places.free((name, event.step))
            elif isinstance(event, _GIVEN_UP):
                if event.delivery == current.get((name, event.step)):
                    places.free((name, event.step))
            elif isinstance(event, ENDS):
                policies.pop(name, None)


def _dispatched(
    book: Book,
    entry: Entry,
    event: e.StepDispatched,
    policy: e.CapabilityResolved | None,
    places: _Places,
) -> Iterator[Violation]:
    tenant, slot = entry.record.tenant_id, (entry.record.execution_id, event.step)
    limits = {f"tenant {tenant}": book.history.tenant_limits.get(tenant, 0)}
    if policy is not None and policy.concurrency_key:
        limits[f"key {policy.concurrency_key} of tenant {tenant}"] = policy.key_concurrency
    for group, limit in limits.items():
        held = places.take(group, slot)
        if limit and held > limit:
            sentence = f"{held} steps of {group} are outstanding; the limit is {limit}"
            yield Violation(G, sentence, (entry.place,))
