"""`python -m bench.privacy`: what sealing a tenant's content costs an intent, in CPU.

For a payload of some sizes, on every stop of an intent that one step answers: the producer or
gateway that states it, its owner that decides about it, the worker that opens its task and seals
its report, the gateway that answers with the document; each with and without keys, the least of
several passes that take turns. Encoding, Kafka and the handler are in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console

from bench.owner.figures import Figure, Report, circumstances, table
from symphainy_processors.owner.opening import opened
from symphainy_schemas.records import Intent, ReportKind, StepReport, Task
from symphainy_transport.privacy.content import Content, Opener, Standing
from symphainy_transport.privacy.envelope import DataKey, fresh_secret
from symphainy_transport.privacy.keyring import TenantKeys
from symphainy_transport.privacy.records import opened_task, sealed_intent, sealed_report

RESULTS = Path(__file__).parent / "results" / "privacy.json"
TENANT = "bench"
SIZES = (200, 2_000, 20_000)
PASSES = 7
console = Console(width=140)


class _Given(Content):
    """Keys that are at hand, as they are all but once a minute."""

    def __init__(self, opener: Opener) -> None:
        super().__init__()
        self._opener = opener

    def of(self, tenant_id: str) -> Opener:
        return self._opener


def openers() -> tuple[Opener, Opener]:
    """Without keys, and with."""
    keys = TenantKeys(TENANT, {1: DataKey(TENANT, 1, fresh_secret())}, True)
    return Opener(TENANT, Standing.CLEAR), Opener(TENANT, Standing.SEALED, keys)


def cost(rounds: int) -> Report:
    """What it adds to an intent at each stop, in µs of CPU."""
    report = Report()
    for size in SIZES:
        found = [_stops(opener, size) for opener in openers()]
        best = {name: [float("inf")] * 2 for name in found[0]}
        for _ in range(PASSES):
            for which, stops in enumerate(found):
                for name, act in stops.items():
                    best[name][which] = min(best[name][which], _timed(act, rounds))
        whole = [sum(one[which] for one in best.values()) for which in (0, 1)]
        for name, (without, with_keys) in [*best.items(), ("in all", whole)]:
            report.figures.append(
                Figure(
                    f"{size:,} bytes: {name}",
                    round(with_keys, 1),
                    "µs CPU",
                    beside=round(without, 1),
                    beside_what="without keys",
                )
            )
    return report


def _stops(opener: Opener, size: int) -> dict[str, Callable[[], object]]:
    payload = msgspec.json.encode({"text": "x" * (size - 11)})
    intent = Intent(
        intent_id="0" * 32,
        intent_type="bench.one",
        realm="bench",
        session_id="ses-0-" + "0" * 32,
        tenant_id=TENANT,
        principal="ann",
        correlation_id="c",
        payload=payload,
        metadata=b'{"source":"http"}',
        solution_context=b"",
        created_at=0,
    )
    stands = sealed_intent(opener, intent)
    task = _task(stands)
    report = _report(task, payload)
    result = sealed_report(opener, report).result
    document = {"status": "succeeded", "result": msgspec.json.decode(result), "steps": []}
    content = _Given(opener)
    return {
        "stating it": lambda: sealed_intent(opener, intent),
        "deciding about it": lambda: opened(content, stands),
        "opening its task": lambda: opened_task(opener, task),
        "sealing its report": lambda: sealed_report(opener, report),
        "answering with its end": lambda: opener.show(document),
    }


def _task(intent: Intent) -> Task:
    return Task(
        execution_id="exe-0-" + "0" * 32,
        session_id=intent.session_id,
        tenant_id=TENANT,
        partition=0,
        dispatched_at=0,
        step="main",
        attempt=1,
        delivery=1,
        token="t",
        start_by=0,
        timeout_ms=0,
        realm="bench",
        intent_id=intent.intent_id,
        intent_type=intent.intent_type,
        capability_version=1,
        handler="one",
        principal="ann",
        correlation_id="c",
        payload=intent.payload,
        metadata=intent.metadata,
        solution_context=b"",
        created_at=0,
    )


def _report(task: Task, result: bytes) -> StepReport:
    return StepReport(
        kind=ReportKind.SUCCEEDED,
        execution_id=task.execution_id,
        session_id=task.session_id,
        tenant_id=TENANT,
        step="main",
        attempt=1,
        delivery=1,
        token="t",
        dispatched_at=0,
        worker="w",
        at=0,
        result=result,
    )


def _timed(act: Callable[[], object], rounds: int) -> float:
    begun = time.process_time()
    for _ in range(rounds):
        act()
    return (time.process_time() - begun) / rounds * 1e6


def main() -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.privacy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3_000, help="in a pass")
    parser.add_argument("--out", type=Path, default=RESULTS)
    told = parser.parse_args()
    load = os.getloadavg()[0]
    report = cost(told.rounds)
    console.print(table("privacy", report))
    kept = {
        **circumstances(load),
        "load_after": round(os.getloadavg()[0], 2),
        **report.as_json(),
    }
    told.out.write_text(json.dumps({"cost": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
