"""What a soak found, as a value, as JSON and in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.verdict import Verdict

_NAMES = re.compile(r"(exe|ses)-\d+-\w+|[0-9a-f]{8}-[0-9a-f-]{27}|-?\d+")


@dataclass
class Report:
    """What a soak found."""

    seed: int
    rounds: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    faults: Counter[str] = field(default_factory=Counter)
    load: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """Why the run could not go on, or never became quiet."""

    @property
    def good(self) -> bool:
        """Whether every guarantee held."""
        return not (self.verdict.violations or self.verdict.unlike or self.broken)

    def kinds(self) -> Counter[str]:
        """How many violations there are of each kind: sentences without names and numbers."""
        found = self.verdict.violations
        return Counter(f"{one.guarantee}: {_NAMES.sub('…', one.sentence)}" for one in found)

    def document(self) -> dict[str, Any]:
        """As one JSON line."""
        late = sorted(self.verdict.lateness_ms)
        return {
            "seed": self.seed,
            "rounds": self.rounds,
            "good": self.good,
            "faults": dict(self.faults),
            "load": dict(self.load),
            "deaths": dict(self.deaths),
            "counts": dict(self.verdict.counts),
            "timer_lateness_ms": {
                f"p{share}": late[min(len(late) - 1, len(late) * share // 100)]
                for share in (50, 99, 100)
                if late
            },
            "violations": [str(one) for one in self.verdict.violations[:50]],
            "violations_by_kind": dict(self.kinds()),
            "read_model": self.verdict.unlike[:50],
            "broken": self.broken,
        }


def summary(report: Report) -> None:
    """Print what was done and found."""
    document = report.document()
    for name in ("faults", "load", "deaths", "counts", "timer_lateness_ms"):
        print(f"{name}: {json.dumps(document[name], sort_keys=True)}")
    for kind, count in report.kinds().most_common():
        print(f"{count:7d} x {kind}")
    for sentence in report.broken:
        print(f"BROKEN {sentence}")
    print(
        f"seed {report.seed}: {len(report.verdict.violations)} violations, "
        f"{len(report.verdict.unlike)} differences of the read model in {report.rounds} rounds"
    )
