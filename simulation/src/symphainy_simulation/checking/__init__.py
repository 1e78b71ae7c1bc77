"""Checkers of the guarantees: pure functions over what stands in the logs."""

from __future__ import annotations

from symphainy_simulation.checking import (
    acceptance,
    anew,
    cancelling,
    checkpoints,
    children,
    concurrency,
    dispatches,
    endings,
    folding,
    governance,
    identity,
    ownership,
    passing,
    pausing,
    policy,
    replays,
    results,
    retries,
    sagas,
    sessions,
    surface,
    waiting,
)
from symphainy_simulation.checking.history import (
    Acknowledged,
    Carried,
    HandlerStart,
    History,
    Snapshot,
    Written,
)
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import read
from symphainy_simulation.checking.violation import Place, Violation

__all__ = [
    "CHECKERS",
    "Acknowledged",
    "Carried",
    "HandlerStart",
    "History",
    "Place",
    "Snapshot",
    "Violation",
    "Written",
    "check_all",
    "check_book",
]

CHECKERS = (
    ownership.check,
    acceptance.check,
    identity.check,
    policy.check,
    governance.check,
    dispatches.check,
    results.check,
    passing.check,
    checkpoints.check,
    retries.check,
    anew.check,
    endings.check,
    cancelling.check,
    pausing.check,
    folding.check,
    surface.check,
    concurrency.check,
    waiting.check,
    replays.check,
    sagas.check,
    children.check,
    sessions.check,
)


def check_all(history: History) -> list[Violation]:
    """Everything that does not hold in `history`; empty if all does."""
    return check_book(Book(read(history)))


def check_book(book: Book) -> list[Violation]:
    """The same, for who has read the history already."""
    return [violation for checker in CHECKERS for violation in checker(book)]
