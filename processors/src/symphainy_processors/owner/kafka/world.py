"""Time, chance and configuration of a running owner."""

from __future__ import annotations

import random
import secrets

from symphainy_runtime.configuration import ConfigReader
from symphainy_schemas.errors import SymphainyError
from symphainy_schemas.records import ApiKey, Capability, PolicySet, Tenant
from symphainy_transport.clock import Clock

# An intent may overtake its capability's or tenant's registration by a moment: look once more
# before refusing, but not for every intent of a flood of wrong ones.
RECHECK_MS = 100
RECHECK_TIMEOUT_S = 2.0  # the owner stands still so long


class RunningWorld:
    """Implements `ports.World`."""

    def __init__(self, clock: Clock, reader: ConfigReader) -> None:
        self._clock = clock
        self._reader = reader
        self._checked_at = 0

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        return self._clock.now_ms()

    def token(self) -> str:
        """128 random bits."""
        return secrets.token_urlsafe(16)

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        return random.random()

    def capability(self, intent_type: str) -> Capability | None:
        """The capability in force."""
        known = self._reader.configuration.capabilities.get(intent_type)
        if known is None and not intent_type.startswith("runtime.") and self._recheck():
            known = self._reader.configuration.capabilities.get(intent_type)
        return known

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant with its limits, if it is known."""
        known = self._reader.configuration.tenants.get(tenant_id)
        if known is None and self._recheck():
            known = self._reader.configuration.tenants.get(tenant_id)
        return known

    def key(self, key_id: str) -> ApiKey | None:
        """The credential of that id, if it is known."""
        known = self._reader.configuration.keys.get(key_id)
        if known is None and self._recheck():
            known = self._reader.configuration.keys.get(key_id)
        return known

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        """That version of a scope's policies; None if the configuration does not hold it.

        Raises:
            Unavailable: the configuration cannot be read, so nobody knows.
        """
        known = self._reader.configuration.policies.get((scope, version))
        if known is None:  # it was written before whatever names it
            self._reader.catch_up(RECHECK_TIMEOUT_S)
            known = self._reader.configuration.policies.get((scope, version))
        return known if known is not None and known.sha256 == sha256 else None

    def refresh(self) -> None:
        """Take what has come of the configuration."""
        self._reader.poll(0.0)

    def _recheck(self) -> bool:
        now = self._clock.now_ms()
        if now - self._checked_at < RECHECK_MS:
            return False
        self._checked_at = now
        try:
            self._reader.catch_up(RECHECK_TIMEOUT_S)
        except SymphainyError:
            return False
        return True
