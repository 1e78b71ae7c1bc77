"""Errors as problem documents (RFC 9457), and the one table from error code to HTTP status.

`code` is the stable name of an error; `type` is made of it. Whoever refuses raises a
`SymphainyError`; `Refused` is the one that also knows ids and single violations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from symphainy_gateway.replies import PROBLEM_JSON, Headers, Reply
from symphainy_schemas.errors import OperatorError, SymphainyError, Unavailable

# Kafka elects a new leader and a broker restarts in about 2 s.
RETRY_AFTER_S = 2
RETRIED = frozenset({429, 503})  # statuses that say when to come back
CHALLENGE = b"www-authenticate"
TYPE_PREFIX = "urn:symphainy:problem:"


class Kind(NamedTuple):
    """What an error code means to HTTP."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed_json": Kind(400, "The body is not JSON"),
    "invalid_parameter": Kind(400, "A query parameter or header is not understood"),
    "malformed_cursor": Kind(400, "The cursor is not one that this listing gave"),
    "offset_out_of_range": Kind(400, "The offset is beyond the log"),
    "empty_batch": Kind(400, "The batch has no line"),
    "client_disconnected": Kind(400, "The client left before its request was complete"),
    "unauthenticated": Kind(401, "No valid credential"),
    "invalid_token": Kind(401, "The token is not a valid one"),
    "token_expired": Kind(401, "The token has expired"),
    "token_not_yet_valid": Kind(401, "The token is not valid yet"),
    "token_audience": Kind(401, "The token is not for this gateway"),
    "token_issuer": Kind(401, "The token's issuer is not accepted"),
    "token_claims": Kind(401, "The token does not say what is asked"),
    "token_replayed": Kind(401, "The token was used before"),
    "out_of_scope": Kind(403, "The credential is not for this"),
    "tenant_mismatch": Kind(403, "The body names another tenant"),
    "policy_denied": Kind(403, "Policy does not allow this intent"),
    "tenant_suspended": Kind(403, "The tenant is suspended"),
    "credential_revoked": Kind(403, "The credential is revoked"),
    "control_intent_not_allowed": Kind(403, "Control intents have their own routes"),
    "route_not_found": Kind(404, "There is no such route"),
    "execution_not_found": Kind(404, "There is no such execution"),
    "step_not_found": Kind(404, "The execution has no such step"),
    "session_not_found": Kind(404, "There is no such session"),
    "capability_not_found": Kind(404, "No capability takes this intent type"),
    "policy_not_found": Kind(404, "There is no such version of policies"),
    "tenant_not_found": Kind(404, "There is no such tenant"),
    "method_not_allowed": Kind(405, "The route does not take this method"),
    "body_too_slow": Kind(408, "The body came too slowly"),
    "idempotency_conflict": Kind(409, "The intent id was used with another payload"),
    "execution_ended": Kind(409, "The execution has ended"),
    "execution_running": Kind(409, "The execution has not ended"),
    "step_not_failed": Kind(409, "The step has not failed for good"),
    "step_may_run": Kind(409, "A delivery of the step may still run"),
    "execution_stopping": Kind(409, "The execution is about to end, and nothing more begins"),
    "compensation_began": Kind(409, "What the execution did is being undone"),
    "no_compensation": Kind(409, "The execution has no plan that could be undone"),
    "policy_superseded": Kind(409, "A higher version of the policies is in force"),
    "policy_contended": Kind(409, "Others write the policies at the same time"),
    "session_closed": Kind(409, "The session is closed"),
    "session_expired": Kind(409, "The session has expired"),
    "session_exists": Kind(409, "The session exists"),
    "history_expired": Kind(410, "What is asked about begins before what is kept"),
    "content_shredded": Kind(410, "The tenant's content was shredded"),
    "body_too_large": Kind(413, "The body is too large"),
    "too_large": Kind(413, "A part of the intent is too large"),
    "payload_too_large": Kind(413, "The payload is larger than the tenant's may be"),
    "batch_too_large": Kind(413, "The batch has too many lines"),
    "unsupported_media_type": Kind(415, "The media type is not taken here"),
    "invalid_request": Kind(422, "The request does not have the form that is asked"),
    "before_execution": Kind(422, "The execution had not begun by then"),
    "range_not_kept": Kind(422, "The log does not hold that offset"),
    "empty_range": Kind(422, "Nothing stands in that range"),
    "range_too_large": Kind(422, "The range has more records than are read here"),
    "replay_needs_code": Kind(422, "A full replay runs where the realm's code is"),
    "policy_malformed": Kind(422, "A policy text cannot be read"),
    "policy_unsound": Kind(422, "A policy cannot be put in force"),
    "contract_violation": Kind(422, "The payload breaks the capability's contract"),
    "too_many_signals": Kind(409, "The execution keeps as many signals as it can"),
    "backlogged": Kind(429, "Too many intents wait for their decision"),
    "over_quota": Kind(429, "The tenant states more than its rate allows"),
    "budget_exhausted": Kind(429, "The tenant has used up a budget"),
    "too_many_waits": Kind(429, "Too many requests wait for the end of an execution"),
    "too_many_streams": Kind(429, "Too many event streams are open"),
    "too_many_backtests": Kind(429, "A backtest runs already"),
    "too_many_queries": Kind(429, "Too many queries of the log wait for their turn"),
    "internal": Kind(500, "The gateway failed"),
    "kafka_busy": Kind(503, "Too many intents await the write-ahead log"),
    "overloaded": Kind(503, "The gateway holds as many requests as it can"),
    "wal_unavailable": Kind(503, "The write-ahead log did not answer"),
    "read_model_unavailable": Kind(503, "The read model did not answer"),
    "not_ready": Kind(503, "The gateway has not reached its services yet"),
    "identity_unavailable": Kind(503, "Whether the token is valid cannot be told now"),
    "archive_unavailable": Kind(503, "The archive of the log did not answer"),
    "keys_unavailable": Kind(503, "The tenant's keys cannot be had now"),
    "undecided": Kind(503, "It is not decided yet whether it is allowed"),
    "unavailable": Kind(503, "A service did not answer"),
    "storage_exhausted": Kind(507, "The tenant has stored as much as it may"),
}
# A rejection that the owner journaled, by a code that the table does not name.
_REJECTED = Kind(422, "The intent was rejected")
_REFUSED = Kind(400, "The request was refused")


class Violation(Struct, frozen=True):
    """One thing that is wrong with a request; `field` is a JSON pointer into its body."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document; empty members are left out. `retry_after_s` is what Retry-After says."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str = ""
    field: str = ""
    cure: str = ""
    execution_id: str = ""
    intent_id: str = ""
    incident: str = ""
    retry_after_s: int = 0
    errors: tuple[Violation, ...] = ()


class Refused(SymphainyError):
    """A refusal that knows which intent it concerns, or everything that is wrong with it."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        field: str = "",
        cure: str = "",
        execution_id: str = "",
        intent_id: str = "",
        retry_after_s: int = 0,
        errors: tuple[Violation, ...] = (),
        headers: Headers = (),
    ) -> None:
        super().__init__(message, code=code, field=field, cure=cure)
        self.execution_id = execution_id
        self.intent_id = intent_id
        self.retry_after_s = retry_after_s
        self.errors = errors
        self.headers = headers


class Rejected(Refused):
    """The owner decided, and journaled, that the intent may not run."""


def rejection(document: Mapping[str, Any]) -> Rejected:
    """The refusal that a rejected execution's document tells of."""
    error = document["error"] or {}
    return Rejected(
        error.get("message") or "The intent was rejected.",
        code=error.get("code") or "rejected",
        field=error.get("field", ""),
        cure=error.get("cure") or error.get("operator_action", ""),
        execution_id=document["execution_id"],
        intent_id=document["intent_id"],
    )


def problem_of(error: SymphainyError, instance: str = "") -> Problem:
    """The problem document of an error; `instance` is the request's path."""
    kind = KINDS.get(error.code) or _unlisted(error)
    known = error if isinstance(error, Refused) else None
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=kind.title,
        status=kind.status,
        detail=error.message,
        code=error.code,
        instance=instance,
        field=error.field,
        cure=error.cure,
        execution_id=known.execution_id if known else "",
        intent_id=known.intent_id if known else "",
        retry_after_s=known.retry_after_s if known else 0,
        errors=known.errors if known else (),
    )


def problem_reply(problem: Problem, headers: Headers = ()) -> Reply:
    """The problem as an HTTP response."""
    if problem.status in RETRIED:
        after_s = problem.retry_after_s or RETRY_AFTER_S
        headers = (*headers, (b"retry-after", b"%d" % after_s))
    elif problem.status == 401 and not any(name == CHALLENGE for name, _ in headers):
        headers = (*headers, (CHALLENGE, b'Bearer realm="symphainy"'))
    return Reply(problem.status, msgspec.json.encode(problem), PROBLEM_JSON, headers)


def error_reply(error: SymphainyError, instance: str) -> Reply:
    """The HTTP response of an error."""
    headers = error.headers if isinstance(error, Refused) else ()
    return problem_reply(problem_of(error, instance), headers)


def _unlisted(error: SymphainyError) -> Kind:
    if isinstance(error, Rejected):
        return _REJECTED
    if isinstance(error, Unavailable | OperatorError):
        return KINDS["unavailable"]
    return _REFUSED
