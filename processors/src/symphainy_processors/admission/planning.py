"""Decide which steps an intent's execution has: each with the entry point in force now. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from symphainy_processors.fold.plans import MAIN_STEP
from symphainy_schemas import templates
from symphainy_schemas.records import Capability, Error, Intent, PlannedStep, PlanStep, Policy


def resolved(capability: Capability, entries: Mapping[str, Capability]) -> tuple[PlanStep, ...]:
    """The plan; of one step where a handler answers that can be undone; none for any other."""
    if capability.plan:
        return tuple(_step(one, entries[one.intent_type]) for one in capability.plan)
    if not capability.compensation:
        return ()
    alone = PlannedStep(
        step=MAIN_STEP, intent_type=capability.name, needs=(), input=b"", condition=b""
    )
    return (_step(alone, capability),)


def problem(
    capability: Capability, intent: Intent, entries: Mapping[str, Capability]
) -> Error | None:
    """Why an intent's plan cannot be carried out."""
    for one in capability.plan:
        entry = entries.get(one.intent_type)
        if entry is None:
            return Error(
                code="capability_not_found",
                message=f"Step {one.step} of {capability.name} needs {one.intent_type}, which no "
                "realm has registered.",
                field="/intent_type",
                cure="Start a worker that serves it, or see `symphainy capability list`.",
            )
        if entry.plan:
            return Error(
                code="plan_nested",
                message=f"Step {one.step} of {capability.name} is {one.intent_type}, which has a "
                "plan itself.",
                field="/intent_type",
                cure="Let the step's handler invoke it, or state its steps here.",
            )
    if intent.payload_ref is not None and _picks(capability):
        return Error(
            code="payload_too_large",
            message=f"The steps of {capability.name} get parts of the payload, and this one is too "
            "large to stand in the log.",
            field="/payload",
            cure="Send a reference to the large part in its place.",
        )
    return None


def _picks(capability: Capability) -> bool:
    """Whether a plan has parts of the payload carried to where it says."""
    stated = [t for one in capability.plan for t in (one.input, one.condition, one.for_each)]
    return any(templates.PAYLOAD in templates.sources(t) for t in (*stated, capability.output))


def _step(one: PlannedStep, entry: Capability) -> PlanStep:
    return PlanStep(
        step=one.step,
        intent_type=one.intent_type,
        needs=one.needs,
        input=one.input,
        condition=one.condition,
        version=entry.version,
        realm=entry.realm,
        handler=entry.handler,
        policy=Policy(
            timeout_ms=entry.timeout_ms,
            heartbeat_ms=entry.heartbeat_ms,
            attempts=entry.attempts,
            backoff_ms=entry.backoff_ms,
            backoff_factor=entry.backoff_factor,
            backoff_max_ms=entry.backoff_max_ms,
        ),
        concurrency_key=entry.concurrency_key,
        key_concurrency=entry.key_concurrency,
        compensation=entry.compensation,
        compensation_policy=entry.compensation_policy,
        for_each=one.for_each,
        at_most=one.at_most,
    )
