"""Every error of the system, by who must act: the caller, a retry, or an operator.

This module is the bottom of the dependency chain: standard library only. Foreign errors are
translated into these once, at the door of the adapter that met them.
"""

from __future__ import annotations


class SymphainyError(Exception):
    """Base of all errors. `code` is stable and snake_case; `field` is a JSON pointer or empty."""

    code = "internal"

    def __init__(self, message: str, *, code: str = "", field: str = "", cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.cure = cure

    def __str__(self) -> str:
        where = f" (field {self.field})" if self.field else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{self.message}{where}{cure}"


class CallerError(SymphainyError):
    """The caller must change the input: repeating it unchanged gives the same answer."""

    code = "invalid_request"


class UnreadableRecord(CallerError):
    """A record's bytes are not what the topic holds. It goes to `dead-letters` with its place."""

    code = "unreadable_record"


class Unavailable(SymphainyError):
    """A service that we need did not answer in time. Repeat with the same intent id."""

    code = "unavailable"


class OperatorError(SymphainyError):
    """Only an operator can cure this. Operator action: what `cure` says."""

    code = "operator_action_needed"


class MisconfiguredCluster(OperatorError):
    """The broker's settings break a guarantee. Operator action: `symphainy topics check`."""

    code = "misconfigured_cluster"


class JournalTooNew(OperatorError):
    """The journal holds events newer than this process can fold.

    Operator action: upgrade every owner before raising the feature level.
    """

    code = "journal_too_new"
