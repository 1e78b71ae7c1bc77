"""A decision of policy as every surface shows it."""

from __future__ import annotations

from typing import Any

from symphainy_schemas.records import PolicyDecision


def decision_document(decision: PolicyDecision) -> dict[str, Any]:
    """What policy decided, under which versions, stage by stage; JSON but for the stages' structs,
    which encode as such."""
    return {
        "allowed": decision.allowed,
        "platform_version": decision.platform_version,
        "tenant_version": decision.tenant_version,
        "sha256": decision.sha256.hex(),
        "stages": decision.stages,
    }
