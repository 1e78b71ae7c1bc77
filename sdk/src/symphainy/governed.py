"""What policy decided of the intent that a handler executes, as it sees it. Immutable."""

from __future__ import annotations

from msgspec import Struct

from symphainy_schemas.records import PolicyDecision


class PolicyContext(Struct, frozen=True):
    """Under which policies the intent was let pass, once, before anything of it began.

    It never changes afterwards: an execution may be cancelled, its decision is not taken again.
    """

    roles: tuple[str, ...]
    """Roles of the principal, as its credential said."""
    _decision: PolicyDecision | None

    def __repr__(self) -> str:
        versions = f"platform {self.platform_version}, tenant {self.tenant_version}"
        return f"PolicyContext({versions}, {', '.join(self.policies)})"

    @property
    def platform_version(self) -> int:
        """Version of the platform's policies; 0 for the built-in ones."""
        return 0 if self._decision is None else self._decision.platform_version

    @property
    def tenant_version(self) -> int:
        """Version of the tenant's own policies; 0 for none."""
        return 0 if self._decision is None else self._decision.tenant_version

    @property
    def sha256(self) -> str:
        """Hash of all policies that were in force, in hexadecimal; empty where the intent was
        taken before policy was recorded."""
        return "" if self._decision is None else self._decision.sha256.hex()

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that determined the decision: scope/stage/id."""
        if self._decision is None:
            return ()
        return tuple(name for stage in self._decision.stages for name in stage.policies)
