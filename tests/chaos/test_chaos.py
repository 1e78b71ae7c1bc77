"""The short form of the soak: one round of chaos on real parts, judged by every checker.

- Owners, workers, projector, gateway, broker and Valkey are killed, paused and restarted under
  load; at the end everything becomes quiet and no guarantee is violated.
- The read model shows what the journal says.

A failure prints the seed; `python -m tests.chaos.soak --seed …` begins with the same choices.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from tests.chaos.cluster import Size
from tests.chaos.crew import Options
from tests.chaos.report import summary
from tests.chaos.soak import Soak

ROUND_S = 45.0
LEAST_FAULTS = 6


@pytest.mark.timeout(700)
def test_a_round_of_chaos_violates_nothing(tmp_path: Path) -> None:
    options = Options(
        minutes=ROUND_S / 60,
        round_s=ROUND_S,
        rate=60.0,
        seed=secrets.randbelow(2**31),
        size=Size(dedupe_window_s=30.0),
        least_faults=LEAST_FAULTS,
    )
    report = Soak(options, tmp_path).run()
    summary(report)
    assert report.good, f"seed {options.seed}"
    assert report.verdict.counts["acknowledged"] > 500
    assert sum(report.faults.values()) >= LEAST_FAULTS
