"""Errors of the SDK, by who must act: the author of a handler, a retry, or the caller.

Two words are for handlers: `TerminalError` (do not try again) and `RetryableError` (do, when).
Every other exception that leaves a handler is retried as its retry policy declares.
"""

from __future__ import annotations

from datetime import timedelta

from symphainy.durations import duration_ms
from symphainy_schemas.errors import CallerError, SymphainyError


class DeclarationError(CallerError):
    """A realm or handler is declared wrongly; the message names it and says what to change."""

    code = "bad_declaration"


class TerminalError(SymphainyError):
    """The handler refuses for good: no attempt with this input can succeed."""

    code = "terminal_error"


class RetryableError(SymphainyError):
    """The attempt failed, another may succeed. `after` replaces the policy's delay until then."""

    code = "retryable_error"

    def __init__(
        self,
        message: str,
        *,
        after: timedelta | str | None = None,
        code: str = "",
        cure: str = "",
    ) -> None:
        """`after` is a timedelta or a duration such as "30s"; ValueError if it is neither."""
        super().__init__(message, code=code, cure=cure)
        self.after_ms = -1 if after is None else duration_ms(after)


class ContractViolation(TerminalError):
    """A payload, a result or a step breaks the declared contract; `cure` says what to change."""

    code = "contract_violation"


class SignalTimeout(RetryableError):
    """No signal came in time. A handler that lets it pass is retried as its policy declares."""

    code = "signal_timeout"


class ChildTimeout(RetryableError):
    """What was invoked had not ended in time; it goes on until the handler's own execution, or its
    step, has ended. A handler that lets this pass is retried as its policy declares."""

    code = "child_timeout"


class ChildFailed(TerminalError):
    """What was invoked has not succeeded; its error says why.

    `status` is how it ended (`failed`, `rejected`, `cancelled`, `compensated`), `code` and
    `message` are its error's. That is recorded: another attempt would meet it again.
    """

    code = "child_failed"

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        status: str,
        code: str = "",
        field: str = "",
        cure: str = "",
    ) -> None:
        super().__init__(message, code=code, field=field, cure=cure)
        self.execution_id = execution_id
        self.status = status


class JournalMismatch(RetryableError):
    """The code that runs is not the code that the execution's journal is of.

    It is tried again, since another worker, or the code rolled back, may match. The attempt has
    failed also where the handler caught this.
    """

    code = "journal_mismatch"


class Cancelled(BaseException):
    """The execution that this handler works for is to end: cancelled, or past its deadline.

    Raised in the handler by `ctx.step`, `ctx.progress`, `ctx.sleep`, `ctx.signal`, and by a
    `ctx.wait` that it came upon; an async handler otherwise gets `asyncio.CancelledError` where it
    awaits. Like that one it is no `Exception`, so that code which survives errors does not survive
    this: clean up in `finally`, and let it pass. A handler may raise it by itself.
    """

    def __init__(self, message: str = "The execution is to end.") -> None:
        super().__init__(message)


class ApiError(SymphainyError):
    """The gateway refused a request (RFC 9457 problem document).

    `status` is the HTTP status; `retry_after_s` the gateway's Retry-After, 0 if it gave none.
    """

    code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        field: str = "",
        cure: str = "",
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message, code=code, field=field, cure=cure)
        self.status = status
        self.retry_after_s = retry_after_s
