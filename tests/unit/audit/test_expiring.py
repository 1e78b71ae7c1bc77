"""What is gone from a journal's head: expired, or deleted.

- Kafka may remove a record once its retention is over; one that is gone before was deleted.
- Without a retention nothing may be gone; of an export nobody can say.
"""

from __future__ import annotations

import pytest
from tests.support.histories import APPENDED_MS, evidence_of, history, numbered, verified

from symphainy_runtime.audit.expiring import Retention
from symphainy_runtime.audit.faults import Kind

PLACED = numbered(history([1, 2, 3, 4, 5, 6, 7, 8, 1]))
KEPT = evidence_of(PLACED, [3, 6, 10])
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("start", "retention", "deleted"),
    [
        (6, Retention(HOUR, APPENDED_MS + HOUR + 5), []),
        (6, Retention(HOUR, APPENDED_MS + HOUR + 4), [(3, 5)]),
        (6, Retention(HOUR, APPENDED_MS + HOUR), [(0, 5)]),
        (4, Retention(HOUR, APPENDED_MS + HOUR + 3), []),
        (4, Retention(HOUR, APPENDED_MS + HOUR + 2), [(3, 3)]),
        (6, Retention(-1, APPENDED_MS + 9 * HOUR), [(0, 5)]),
        (6, None, []),
        (0, Retention(HOUR, APPENDED_MS), []),
    ],
)
def test_what_is_gone_too_early_was_deleted(
    start: int, retention: Retention | None, deleted: list[tuple[int, int]]
) -> None:
    report = verified(PLACED[start:], KEPT, retention=retention)
    assert {fault.kind for fault in report.faults} <= {Kind.DELETED}
    assert [(fault.first, fault.last) for fault in report.faults] == deleted
    told = sum(span.count for span in report.expired) + sum(f.count for f in report.faults)
    assert told == start
