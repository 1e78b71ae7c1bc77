"""`python -m bench.policy`: what policy costs an intent.

Admission of intents, in CPU time of one core: with a decision given, so without policy, and
with 10, 200 and 1,000 policies of a tenant beside the built-in ones; the least of several passes,
which take turns, so that the ratio is of one run. Half of the policies ask for a role, the others
are for one intent type and ask for the payload; every intent has another payload. What is asked of
it recurs (1,000 numbers), so that decisions are remembered; what one takes that was never asked
before is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.owner.figures import Figure, Report, circumstances, table
from bench.owner.recorded import TENANT
from symphainy_processors.admission.decide import Known, admit
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.reading import digest_of
from symphainy_schemas.records import Intent, PolicyDecision, PolicySet
from symphainy_schemas.state import SessionState

RESULTS = Path(__file__).parent / "results" / "policy.json"
SESSION = "ses-0-" + "0" * 32
PASSES = 15
FRESH = 200
TYPES = 20
AIM_US = 50.0
AIM_SHARE = 0.8
Decide = Callable[[Intent], PolicyDecision]
console = Console(width=140)


def policies(count: int, *extra: str) -> PolicySet:
    """A tenant's set of so many policies, and some more."""
    guard = [
        f'@id("role{n}") permit(principal in Role::"role{n % 10}", action in Action::"bench", '
        f"resource) when {{ context.priority < {5 + n} && principal.tenant == resource.tenant }};"
        for n in range(count // 2)
    ]
    manager = [
        f'@id("type{n}") permit(principal, action == Action::"bench.one_{n % TYPES}", resource) '
        f"when {{ context has payload && context.payload has number && "
        f"context.payload.number >= {-n} }};"
        for n in range(count - count // 2)
    ]
    everybody = '@id("all") permit(principal, action, resource);'
    texts = "\n".join([*guard, everybody, *extra]), "\n".join([*manager, everybody]), ""
    return PolicySet(
        scope=TENANT,
        version=1,
        sha256=digest_of(*texts),
        security_guard=texts[0],
        city_manager=texts[1],
        data_steward=texts[2],
        note="",
        created_at=0,
        created_by="bench",
    )


def cost(count: int) -> Report:
    """What policy adds to an admission, in µs of CPU."""
    intents = [_intent(number, number % 1_000) for number in range(count)]
    given = Policies(BUILT_IN, None).decide(Facts(intents[0], 0))
    prepared = {size: Policies(BUILT_IN, policies(size)) for size in (10, 200, 1_000)}
    ways: dict[int, Decide] = {0: lambda _: given}
    ways |= {size: _decider(one) for size, one in prepared.items()}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(PASSES):
        for size, decide in ways.items():
            best[size] = min(best[size], _admit_all(intents, decide) / count * 1e6)
    without = best.pop(0)
    details = {
        "admission_without_policy_us": round(without, 1),
        "decision_never_asked_before_us": {
            str(size): round(_never_asked(one), 1) for size, one in prepared.items()
        },
    }
    return Report(_figures(best, without), details)


def _figures(best: dict[int, float], without: float) -> list[Figure]:
    """Of µs an admission, by the number of policies, and without any."""
    figures = [
        Figure(
            f"admission with {size:,} policies",
            round(us, 1),
            "µs CPU",
            beside=round(without, 1),
            beside_what="without policy",
        )
        for size, us in best.items()
    ]
    added = round(best[200] - without, 1)
    figures.append(Figure("200 policies: added by policy", added, "µs CPU", AIM_US))
    share = round(best[10] / best[1_000], 2)
    what = "throughput with 1,000 policies, of that with 10"
    figures.append(Figure(what, share, "", at_least=AIM_SHARE))
    return figures


def _decider(prepared: Policies) -> Decide:
    return lambda intent: prepared.decide(Facts(intent, intent.created_at))


def _never_asked(policies: Policies) -> float:
    """µs of a decision of an intent whose payload holds another number than any before."""
    best = float("inf")
    for number in range(1_000, 1_000 + PASSES * FRESH, FRESH):
        fresh = [Facts(_intent(n, n), 0) for n in range(number, number + FRESH)]
        began = time.process_time()
        for facts in fresh:
            policies.decide(facts)
        best = min(best, (time.process_time() - began) / FRESH * 1e6)
    return best


def _admit_all(intents: list[Intent], decide: Decide) -> float:
    session = SessionState(
        session_id=SESSION, tenant_id=TENANT, principal="ann", attributes=b"{}", opened_at=0
    )
    began = time.process_time()
    for intent in intents:
        known = Known(
            partition=0,
            execution=None,
            session=session,
            tenant_exists=True,
            decide=lambda one=intent: decide(one),  # type: ignore[misc]
            capability=None,
            contract=None,
        )
        admit(intent, known)
    return time.process_time() - began


def _intent(number: int, asked: int) -> Intent:
    payload = {"number": asked, "run": number, "note": "x" * 240}
    return Intent(
        intent_id=f"i{number}",
        intent_type=f"bench.one_{number % TYPES}",
        realm="bench",
        session_id=SESSION,
        tenant_id=TENANT,
        principal=f"p{number % 50}",
        correlation_id=f"i{number}",
        payload=msgspec.json.encode(payload),
        metadata=b"{}",
        solution_context=b"",
        created_at=0,
        roles=(f"role{number % 10}",),
        attributes=b'{"department":"sales","level":3}',
        authentication="api_key",
    )


def main() -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.policy", description=__doc__)
    parser.add_argument("--admissions", type=int, default=20_000, help="in a pass")
    parser.add_argument("--out", type=Path, default=RESULTS)
    told = parser.parse_args()
    load = os.getloadavg()[0]
    report = cost(told.admissions)
    console.print(table("cost", report))
    kept = {"cost": {**_circumstances(load), **report.as_json()}}
    told.out.write_text(json.dumps(kept, indent=1) + "\n")


def _circumstances(load: float) -> dict[str, Any]:
    return {
        **circumstances(load),
        "load_after": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
