"""What curator is told of a realm: an entry for each handler and each plan. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from symphainy.errors import DeclarationError
from symphainy.handlers import Handler
from symphainy.options import IntentOptions
from symphainy.plans.declaring import DeclaredPlan, nested
from symphainy.realm import Realm
from symphainy_schemas.records import Capability, Policy
from symphainy_transport.settings import TransportSettings

_log = logging.getLogger("symphainy.worker")


@dataclass(frozen=True, slots=True)
class Registration:
    """Who registers what, where, and when (ms since the epoch).

    One that is `draining` puts nothing in force: it serves what its code has registered before.
    """

    settings: TransportSettings
    worker_id: str
    now: int
    draining: bool = False


def capability(handler: Handler[Any, Any], version: int, registration: Registration) -> Capability:
    """What curator knows of a handler."""
    options, undoing = handler.options, handler.compensation
    return Capability(
        name=handler.intent_type,
        version=version,
        realm=handler.intent_type.partition(".")[0],
        handler=handler.name,
        description=handler.description,
        input_contract=handler.input_contract,
        output_contract=handler.output_contract,
        determinism=options.determinism,
        timeout_ms=options.timeout_ms,
        attempts=options.retry.attempts,
        backoff_ms=options.retry.initial_ms,
        backoff_factor=options.retry.factor,
        backoff_max_ms=options.retry.maximum_ms,
        registered_at=registration.now,
        registered_by=registration.worker_id,
        heartbeat_ms=options.heartbeat_ms,
        deadline_ms=options.deadline_ms,
        compensation="" if undoing is None else undoing.name,
        compensation_policy=None if undoing is None else _policy(undoing.options),
    )


def plan_capability(
    plan: DeclaredPlan[Any], version: int, registration: Registration
) -> Capability:
    """What curator knows of a plan. Its steps have the limits of their own capabilities."""
    options = plan.options
    return Capability(
        name=plan.intent_type,
        version=version,
        realm=plan.realm,
        handler=plan.name,
        description=plan.description,
        input_contract=plan.input_contract,
        output_contract=b"",
        determinism=options.determinism,
        timeout_ms=options.timeout_ms,
        attempts=options.retry.attempts,
        backoff_ms=options.retry.initial_ms,
        backoff_factor=options.retry.factor,
        backoff_max_ms=options.retry.maximum_ms,
        registered_at=registration.now,
        registered_by=registration.worker_id,
        deadline_ms=options.deadline_ms,
        plan=plan.steps,
        recovery=plan.recovery,
        output=plan.output,
    )


def capabilities(realm: Realm, version: int, registration: Registration) -> list[Capability]:
    """What curator knows of all that a realm declares."""
    handlers = [capability(handler, version, registration) for handler in realm]
    return [*handlers, *(plan_capability(plan, version, registration) for plan in realm.plans)]


def check_plans(realm: Realm, known: Mapping[str, Capability]) -> None:
    """Whether the steps that a realm's plans name can be carried out, as far as is known.

    A step that nobody has registered yet is no error: its realm's workers may start later.

    Raises:
        DeclarationError: a step is a plan itself, or is not given what it takes.
    """
    for plan in realm.plans:
        for step in plan.steps:
            entry = known.get(step.intent_type)
            if entry is None:
                _log.warning(
                    "step %s of plan %s needs %s, which no realm has registered yet: until then "
                    "its intents are rejected",
                    step.step,
                    plan.intent_type,
                    step.intent_type,
                )
            elif entry.plan:
                raise nested(plan.intent_type, step)
        problems = plan.problems({name: one.input_contract for name, one in known.items()})
        if problems:
            raise DeclarationError(
                f"Plan {plan.intent_type}: {problems[0]}.",
                code="bad_plan",
                cure="Give it what its contract says: see `symphainy capability list`.",
            )


def _policy(options: IntentOptions) -> Policy:
    return Policy(
        timeout_ms=options.timeout_ms,
        heartbeat_ms=options.heartbeat_ms,
        attempts=options.retry.attempts,
        backoff_ms=options.retry.initial_ms,
        backoff_factor=options.retry.factor,
        backoff_max_ms=options.retry.maximum_ms,
    )


def tell_of_moves(wanted: Mapping[str, Capability], newest: Mapping[str, Capability]) -> None:
    """Two realms may both declare a `cross_realm.…`; then whoever starts last has it."""
    for name, one in wanted.items():
        before = newest.get(name)
        if before is not None and before.realm != one.realm:
            _log.warning(
                "%s was registered by realm %s until now, and is %s's from here on",
                name,
                before.realm,
                one.realm,
            )
