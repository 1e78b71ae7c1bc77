"""Planted bugs around what governs: policies in force, tenants suspended, keys revoked."""

from __future__ import annotations

from typing import Any

from symphainy_processors.admission import decide, governing
from symphainy_processors.dispatch.dispatcher import Dispatcher
from symphainy_processors.dispatch.rules import Limits
from symphainy_processors.dispatch.turns import Turns
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner import intents
from symphainy_processors.owner.deciding import Deciding, heading_of
from symphainy_processors.owner.governing import Governing, Prepared
from symphainy_processors.saga import decide as saga
from symphainy_runtime.policy.engine import Policies
from symphainy_schemas.events import PolicyValidated, StepReady
from symphainy_schemas.state import TenantState
from symphainy_simulation.actors import policies
from symphainy_simulation.plants.plant import Patch, Plant


def _whatever_stands(original: Any) -> Any:
    return lambda asked, kept: None


def _newest(original: Any) -> Any:
    def text(self: Any, state: TenantState | None) -> Any:
        asked = original(self, state)
        return None if asked is None else policies.of(asked.scope, policies.MALFORMED - 1)

    return text


def _first_for_ever(original: Any) -> Any:
    def found(self: Any, tenant_id: str) -> Any:
        known = self._in_force.get(tenant_id)
        return original(self, tenant_id) if known is None else known[2]

    return found


def _decides_at_dispatch(original: Any) -> Any:
    def deliver(self: Any, state: Any, step: Any, parent: int) -> None:
        if state.policy is None:
            original(self, state, step, parent)
            return
        record = self._record

        def with_policy(heading: Any, events: Any, moment: Any) -> None:
            record(heading, (PolicyValidated(state.policy), *events), moment)

        self._record = with_policy
        try:
            original(self, state, step, parent)
        finally:
            del self._record

    return deliver


def _in_memory_alone(original: Any) -> Any:
    def governed(self: Any, session_id: str) -> TenantState | None:
        state = self._latest.get(session_id)
        return state if isinstance(state, TenantState) else None

    return governed


def _asks_nobody_of_its_own(original: Any) -> Any:
    def admit(intent: Any, known: Any) -> Any:
        events = original(intent, known)
        if intent.realm != "runtime" or known.governed is not None:
            return events
        return tuple(event for event in events if not isinstance(event, PolicyValidated))

    return admit


def _delivers_whatever_is_suspended(original: Any) -> Any:
    def deliver_again(self: Any, state: Any, step: Any) -> None:
        ready, moment = StepReady(step=step.step, attempt=step.attempt), self.moment()
        events = saga.instead(state, step, (ready,), moment.now)
        if events == (ready,):
            self._deliver(state, step, step.dispatched_at)
        else:
            self.decide(state, heading_of(state, None, step.dispatched_at), events, moment)

    return deliver_again


def _stops_nobody(original: Any) -> Any:
    return lambda self, outstanding: not 0 < self.max_concurrency <= outstanding


def _by_numbers(original: Any) -> Any:
    def of(self: Any, platform: Any, tenant: Any) -> Any:
        key = platform.version, 0 if tenant is None else tenant.version
        if key not in self._known:
            self._known[key] = Policies(platform, tenant)
        return self._known[key]

    return of


class _Never(Exception):
    """Nobody raises it."""


def _is_poison(original: Any) -> Any:
    return _Never


def _nobody_is_stopped(original: Any) -> Any:
    return property(lambda self: False)


def _looks_no_more(original: Any) -> Any:
    return lambda self, most: False


def _but(code: str) -> Any:
    def make(original: Any) -> Any:
        def standing(intent: Any, tenant: Any, child: Any) -> Any:
            error = original(intent, tenant, child)
            return None if error is not None and error.code == code else error

        return standing

    return make


def _knows_no_children(original: Any) -> Any:
    return lambda intent, tenant, child: original(intent, tenant, None)


PLANTS = (
    Plant(
        "lower-policies-adopted",
        "8",
        "Whatever version is activated last is in force.",
        (Patch(governing, "_superseded", _whatever_stands),),
    ),
    Plant(
        "newest-in-config",
        "8",
        "What `config` holds last decides, not what was put in force at that place of the log.",
        (Patch(Governing, "_text", _newest),),
    ),
    Plant(
        "policies-remembered-too-long",
        "8",
        "An owner decides on under the policies that it had first.",
        (Patch(Governing, "policies", _first_for_ever),),
    ),
    Plant(
        "policy-at-dispatch",
        "8",
        "Policy is decided once more when a step is dispatched.",
        (Patch(Deciding, "_deliver", _decides_at_dispatch),),
    ),
    Plant(
        "suspension-not-restored",
        "8",
        "What is in force of a tenant is not read back from where it was flushed to.",
        (Patch(PartitionState, "governed", _in_memory_alone),),
    ),
    Plant(
        "control-undecided",
        "8",
        "The runtime's own intents pass without a decision of policy.",
        (Patch(intents, "admit", _asks_nobody_of_its_own),),
    ),
    Plant(
        "suspended-delivered-again",
        "8",
        "What the last owner may not have sent is delivered anew although its tenant is suspended.",
        (Patch(Deciding, "deliver_again", _delivers_whatever_is_suspended),),
    ),
    Plant(
        "suspended-goes-on",
        "8",
        "What is ready is dispatched although its tenant is suspended.",
        (Patch(Limits, "has_room", _stops_nobody),),
    ),
    Plant(
        "suspended-taken",
        "8",
        "A suspended tenant's intents are taken.",
        (Patch(decide, "_standing", _but("tenant_suspended")),),
    ),
    Plant(
        "suspended-child-refused",
        "8",
        "What a suspended tenant's execution invoked and awaits is refused, and it with that.",
        (Patch(decide, "_standing", _knows_no_children),),
    ),
    Plant(
        "revoked-key-counts",
        "8",
        "What was stated with a revoked key is taken.",
        (Patch(decide, "_standing", _but("credential_revoked")),),
    ),
    Plant(
        "resumed-tenant-stays",
        "8",
        "Who was stopped is not looked at again.",
        (Patch(Turns, "recheck", _looks_no_more),),
    ),
    Plant(
        "full-of-suspended",
        "8",
        "A partition full of a suspended tenant's work holds its intents, with the resumption.",
        (Patch(Dispatcher, "stopped", _nobody_is_stopped),),
    ),
    Plant(
        "policies-by-number",
        "8",
        "Prepared policies are found by their version numbers, whosever they are.",
        (Patch(Prepared, "of", _by_numbers),),
    ),
    Plant(
        "missing-policies-are-poison",
        "8",
        "An intent is rejected because its policies are not at hand.",
        (Patch(intents, "PolicyMissing", _is_poison),),
    ),
)
