"""The probe realm, in a group that misses a dead worker only after a session of a long time."""

from __future__ import annotations

from tests.integration.sdk.probe import SESSION_S, realm

from symphainy.worker import group

__all__ = ["realm"]
group.SESSION_TIMEOUT_MS = SESSION_S * 1_000
