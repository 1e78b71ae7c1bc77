"""What is known not to hold, and why; everything else is a violation.

A delivery may be started more than once: Kafka may hold its task twice (a send in doubt is sent
again), and a worker that the group has given up reads on until it learns of it. So a delivery that
has ended may start again, until its `start_by`, after its execution has failed (rule 13).
"""

from __future__ import annotations

import re
from collections import Counter

from symphainy_simulation.checking import History, Violation

_STARTED_LATE = re.compile(
    r"a handler of (\S+), delivery (\d+), was started \d+ ms after (?:Execution|Compensation)"
)


def known(violation: Violation, history: History) -> bool:
    """Whether it is that."""
    found = _STARTED_LATE.match(violation.sentence) if violation.guarantee == "G7" else None
    if found is None:
        return False
    starts = Counter((start.execution_id, start.delivery) for start in history.starts)
    return starts[found[1], int(found[2])] > 1
