"""Whether the platform's policies would let anybody put others in their place."""

from __future__ import annotations

from symphainy_runtime.governing import Order
from symphainy_runtime.policy.actions import ACTIVATE_POLICY
from symphainy_runtime.policy.checking import Finding
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_schemas.records import PLATFORM, PolicySet, StageDecision

_MESSAGE = (
    f"Nobody could put others in their place: it refuses {ACTIVATE_POLICY} to a platform_operator "
    "without further attributes, whom symphainy policy apply speaks as."
)


def shut_out(policies: PolicySet) -> list[Finding]:
    """What in the platform's set would refuse its own author the next one, stated at the same time
    as `symphainy policy apply` states it. A tenant's set is never asked about that.

    Raises:
        BadPolicy: a text cannot be read.
    """
    if policies.scope != PLATFORM:
        return []
    now, author = policies.created_at, policies.created_by
    order = Order(intent_type=ACTIVATE_POLICY, scope=PLATFORM, payload={}, principal=author)
    decided = Policies(policies, None).decide(Facts(order.intent(0, now), now, scope=PLATFORM))
    return [
        finding for stage in decided.stages if not stage.allowed for finding in _findings(stage)
    ]


def _findings(stage: StageDecision) -> list[Finding]:
    return [Finding(stage.stage, name, _MESSAGE) for name in stage.policies or ("",)]
