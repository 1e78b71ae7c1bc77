"""What a client is told of its tenant's limits over time: refusals and headers. Pure.

Source of the headers: draft-ietf-httpapi-ratelimit-headers-10, RateLimit-Policy and RateLimit.
"""

from __future__ import annotations

import math

from symphainy_gateway.problems import Refused
from symphainy_gateway.quotas.counting import US, Counts
from symphainy_gateway.quotas.limits import Limits, end_of, length_s
from symphainy_gateway.replies import Headers
from symphainy_schemas.records import Budget

RATE = "rate"


def refusal(limits: Limits, counts: Counts, control: bool, intent_id: str) -> Refused:
    """Why an intent is refused whose tenant has these counts left, and when to come back: when the
    longest of the periods that are used up ends, else when the next token has come."""
    again = f"Nothing was taken. Repeat it in {{}} s, best with intent id {intent_id}."
    spent = [] if control else _spent(limits, counts)
    if spent:
        budget, after_s = max(spent, key=lambda one: one[1])
        return Refused(
            f"The tenant has stated the {budget.intents} intents that it may in this "
            f"{budget.period}, which ends in {after_s} s.",
            code="budget_exhausted",
            cure=again.format(after_s),
            retry_after_s=after_s,
            intent_id=intent_id,
            headers=headers(limits, counts),
        )
    tokens = counts.control if control else counts.tokens
    after_s = max(1, math.ceil((1 - tokens) / limits.rate_per_s)) if limits.rate_per_s else 1
    what = "control intents" if control else "intents"
    return Refused(
        f"The tenant states more {what} than the {limits.rate_per_s:g} a second that it may.",
        code="over_quota",
        cure=again.format(after_s),
        retry_after_s=after_s,
        intent_id=intent_id,
        headers=headers(limits, counts),
    )


def headers(limits: Limits, counts: Counts) -> Headers:
    """What the tenant may, and what is left of it: `q` intents in `w` seconds; `r` are left, and in
    `t` seconds all are there again."""
    policies: list[str] = []
    left: list[str] = []
    if limits.rate_per_s > 0:
        window = max(1, math.ceil(limits.burst / limits.rate_per_s))
        policies.append(f'"{RATE}";q={math.floor(limits.burst)};w={window}')
        missing = math.ceil(max(0.0, limits.burst - counts.tokens) / limits.rate_per_s)
        left.append(f'"{RATE}";r={max(0, math.floor(counts.tokens))};t={missing}')
    for budget in limits.budgets:
        name, spent = budget.period, counts.of(budget.period)
        policies.append(f'"{name}";q={budget.intents};w={length_s(name, spent.number)}')
        rest = max(0, budget.intents - spent.used)
        left.append(f'"{name}";r={rest};t={_until_end_s(name, spent.number, counts)}')
    return (
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(left).encode()),
    )


def too_large(size: int, limit: int, intent_id: str) -> Refused:
    """The refusal of a payload that is larger than the tenant's may be."""
    return Refused(
        f"The payload has {size} bytes; the tenant's limit is {limit}.",
        code="payload_too_large",
        field="/payload",
        cure="Store large data as an artifact and pass its reference, or ask the operator for "
        "`symphainy tenant limits --max-payload-bytes`.",
        intent_id=intent_id,
    )


def storage_full(size: int, used: int, limit: int, intent_id: str) -> Refused:
    """The refusal of a payload for which the tenant has no room in the object store."""
    return Refused(
        f"The payload's {size} bytes would be stored, where the tenant has {used} bytes of the "
        f"{limit} that it may have.",
        code="storage_exhausted",
        field="/payload",
        cure="Send smaller payloads, or ask the operator for `symphainy tenant limits "
        "--storage-bytes`, or, after objects were deleted, for `symphainy tenant recount`.",
        intent_id=intent_id,
    )


def _spent(limits: Limits, counts: Counts) -> list[tuple[Budget, int]]:
    """The budgets that are used up, each with the seconds to the end of its period."""
    return [
        (budget, _until_end_s(budget.period, counts.of(budget.period).number, counts))
        for budget in limits.budgets
        if counts.of(budget.period).used >= budget.intents
    ]


def _until_end_s(period: str, index: int, counts: Counts) -> int:
    return max(1, math.ceil(end_of(period, index) - counts.at_us / US))
