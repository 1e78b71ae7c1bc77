"""Durable, governed, multi-tenant execution on Kafka: the SDK for realm authors and producers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symphainy.artifacts import Artifacts
from symphainy.client import Client
from symphainy.compensation import Compensation
from symphainy.context import Context
from symphainy.errors import (
    ApiError,
    Cancelled,
    ChildFailed,
    ChildTimeout,
    ContractViolation,
    DeclarationError,
    RetryableError,
    SignalTimeout,
    TerminalError,
)
from symphainy.governed import PolicyContext
from symphainy.handlers import Handler
from symphainy.options import Retry
from symphainy.outcome import Event, Outcome, StateChange
from symphainy.participant import RuntimeParticipant
from symphainy.plans.declaring import DeclaredPlan
from symphainy.plans.steps import Plan, Step
from symphainy.plans.values import EACH, Condition, PlanInput, Value
from symphainy.realm import Realm
from symphainy.reference import Reference
from symphainy.results import Asked, ExecutionError, ExecutionResult
from symphainy.sagas import Saga, SagaCompensation, SagaStep
from symphainy.stated import Intent
from symphainy_schemas.records import Determinism, Recovery

if TYPE_CHECKING:
    from symphainy.producing import IntentProducer
    from symphainy_transport.signing import SigningKey
else:

    def __getattr__(name: str) -> object:
        """The producer when it is asked for: callers of the gateway need no client of Kafka."""
        if name == "IntentProducer":
            from symphainy.producing import IntentProducer

            return IntentProducer
        if name == "SigningKey":
            from symphainy_transport.signing import SigningKey

            return SigningKey
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "EACH",
    "ApiError",
    "Artifacts",
    "Asked",
    "Cancelled",
    "ChildFailed",
    "ChildTimeout",
    "Client",
    "Compensation",
    "Condition",
    "Context",
    "ContractViolation",
    "DeclarationError",
    "DeclaredPlan",
    "Determinism",
    "Event",
    "ExecutionError",
    "ExecutionResult",
    "Handler",
    "Intent",
    "IntentProducer",
    "Outcome",
    "Plan",
    "PlanInput",
    "PolicyContext",
    "Realm",
    "Recovery",
    "Reference",
    "Retry",
    "RetryableError",
    "RuntimeParticipant",
    "Saga",
    "SagaCompensation",
    "SagaStep",
    "SignalTimeout",
    "SigningKey",
    "StateChange",
    "Step",
    "TerminalError",
    "Value",
]
