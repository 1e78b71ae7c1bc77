"""Opening what an owner decides about: an intent's payload, for the time of its decision.

What stands in the log stays sealed, and is what the journal gets. That content cannot be read is
decided like anything else, and journaled; that nobody knows now whether it can, is not: the
partition waits (`KeysUnavailable`, `KeysUnusable`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from symphainy_processors.admission.contracts import Contract
from symphainy_processors.admission.decide import RUNTIME_REALM
from symphainy_runtime.policy.actions import OPEN_SESSION, RETRY_STEP, SIGNAL
from symphainy_schemas.errors import OperatorError, SymphainyError
from symphainy_schemas.records import Error, Intent
from symphainy_transport.privacy.content import Content, Opener, Standing
from symphainy_transport.privacy.errors import (
    ContentCorrupt,
    ContentShredded,
    KeysNotSet,
    KeysUnavailable,
    KeysUnusable,
)
from symphainy_transport.privacy.marking import token
from symphainy_transport.privacy.records import is_in_clear, opened_intent, sealed_error

UNDECIDED = (KeysUnavailable, KeysUnusable, KeysNotSet)
"""Say nothing of what was to be decided: later it will be."""
_BEGINNING = frozenset({OPEN_SESSION, SIGNAL, RETRY_STEP})
"""Of the runtime's own intents those that would let something begin, or go on."""
_UNREADABLE = (ContentShredded, ContentCorrupt)


class Opened(Struct, frozen=True):
    """An intent as it was stated, or as it stands where that cannot be read: `problem` says why."""

    intent: Intent
    problem: Error | None = None
    index: bytes = b""
    opener: Opener | None = None

    def checking(self, contract: Contract | None) -> Contract | None:
        """The contract; what it says of sealed content, which it may repeat, is sealed too."""
        opener = self.opener
        if contract is None or opener is None:
            return contract
        place = f"{self.intent.session_id}/{self.intent.intent_id}/"

        def check(payload: Any) -> Error | None:
            error = contract(payload)
            return None if error is None else sealed_error(opener, error, place)

        return check


def opened(content: Content, intent: Intent) -> Opened:
    """The intent as deciding about it needs it. Control intents are decided of a shredded tenant,
    too, so that what it has can be brought to an end; their own content is for handlers.

    Raises:
        KeysUnavailable, KeysUnusable: nobody knows now.
    """
    opener = content.of(intent.tenant_id).with_keys_of(intent.payload)
    if opener.standing is Standing.CLEAR:
        return Opened(intent)
    try:
        if opener.required and is_in_clear(intent):
            return Opened(intent, _in_clear())
        if intent.realm != RUNTIME_REALM or intent.intent_type in _BEGINNING:
            opener.require_readable()
        stated = opened_intent(opener, intent)
    except (*_UNREADABLE, KeysNotSet) as error:  # else whoever forges a mark could stop an owner
        return Opened(intent, _error(error))
    return Opened(stated, None, opener.index, opener if stated is not intent else None)


class Legible:
    """Content as decisions about plans see it (`fold.content.Contents`): what cannot be read is
    null. What follows from shredded content is sealed content that nobody opens, so that no worker,
    whatever it still knows of the keys, runs a handler with it."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.index = opener.index

    def is_of(self, opener: Opener) -> bool:
        """Whether it looks at content with the same keys."""
        mine = self._opener
        return mine.keys is opener.keys and mine.standing is opener.standing

    def reveal(self, value: Any) -> Any:
        """See `Contents`."""
        try:
            return self._opener.reveal(value)
        except _UNREADABLE:
            return None

    def seal(self, context: str, raw: bytes) -> bytes:
        """See `Contents`."""
        if self._opener.standing is Standing.SHREDDED:
            return token(b"")
        return self._opener.seal(context, raw)


def legible(content: Content) -> Callable[[str], Legible]:
    """What decisions about plans look at content with."""
    known: dict[str, Legible] = {}

    def of(tenant_id: str) -> Legible:
        opener = content.of(tenant_id)
        found = known.get(tenant_id)
        if found is None or not found.is_of(opener):
            found = known[tenant_id] = Legible(opener)
        return found

    return of


def _error(error: SymphainyError) -> Error:
    operator = isinstance(error, OperatorError)
    return Error(
        code=error.code,
        message=error.message,
        field="/payload",
        cure="" if operator else error.cure,
        operator_action=error.cure if operator else "",
    )


def _in_clear() -> Error:
    return Error(
        code="encryption_required",
        message="The tenant takes sealed content only, and this stands in the clear.",
        field="/payload",
        cure="State it through a gateway, or a producer, with SYMPHAINY_KEY_FOLDER set.",
    )
