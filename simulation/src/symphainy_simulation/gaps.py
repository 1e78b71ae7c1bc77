"""What is known not to hold, and why; everything else is a violation.

1. A delivery may be started more than once: Kafka may hold its task twice (a send in doubt is sent
   again), and a worker that the group has given up reads on until it learns of it. So a delivery
   that has ended may start again, until its `start_by`, after its execution has failed (rule 13).
2. A delivery that another worker found when it took over a partition is handed back; the owner then
   counts it as ended, although the worker that fetched it first may still start it (rule 13;
   `HandBack.MAY_STILL_RUN` in tests/models/steps.py).
"""

from __future__ import annotations

import re
from collections import Counter

from symphainy.worker.admission import REDELIVERED
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.records import ReportKind, StepReport
from symphainy_simulation.checking import History, Violation

_STARTED_LATE = re.compile(r"a handler of (\S+), delivery (\d+), was started \d+ ms after Execution")


def known(violation: Violation, history: History) -> bool:
    """Whether it is one of those."""
    found = _STARTED_LATE.match(violation.sentence) if violation.guarantee == "G7" else None
    if found is None:
        return False
    delivery = found[1], int(found[2])
    starts = Counter((start.execution_id, start.delivery) for start in history.starts)
    return starts[delivery] > 1 or delivery in _found_by_others(history)


def _found_by_others(history: History) -> set[tuple[str, int]]:
    found = set()
    for records in history.steps.values():
        for written in records:
            try:
                report = decode(written.value, StepReport)
            except UnreadableRecord:
                continue
            if report.kind is ReportKind.HANDED_BACK and report.name == REDELIVERED:
                found.add((report.execution_id, report.delivery))
    return found
