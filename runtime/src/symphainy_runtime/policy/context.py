"""The context of a request, as far as policies ask for it: told apart quickly, and made.

A decision is remembered by what was asked. Making that anew for each intent costs more than finding
the decision, so contexts are told apart by a key, read off the intent; Cedar's JSON of a context is
made only for one that was not seen before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

from symphainy_runtime.policy.asked import WHOLE, only
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.plain import ESCAPES, is_number, plain

CONTEXT = ("priority", "payload", "payload_bytes", "invoked", "session", "target", "mode", "time")
"""The members of the context."""
Key = Callable[[Facts], Hashable]
encode = msgspec.json.Encoder(order="deterministic").encode
"""The JSON of a value: the same for the same value."""
_NOTHING = b"{}"


class Context:
    """So much of the context as is asked."""

    def __init__(self, asked: Any) -> None:
        """`asked` is `WHOLE`, or the members that are asked, each with what is asked of it."""
        members: Mapping[str, Any] = dict.fromkeys(CONTEXT, WHOLE) if asked is WHOLE else asked
        self._members = [
            (name, None if below is WHOLE else below, below) for name, below in members.items()
        ]
        keys = tuple(_key(name, below) for name, below in members.items())
        self.key: Key = keys[0] if len(keys) == 1 else _together(keys)
        """What tells contexts apart: of two with the same key, `json` is the same. Of two with the
        same `json`, the key is the same. Raises: as `Facts.context`."""

    def json(self, facts: Facts) -> bytes:
        """The context in JSON."""
        if not self._members:
            return _NOTHING
        found = {}
        for name, members, below in self._members:
            value = facts.context(name, members)
            if value is not None:
                found[name] = only(value, below)
        return encode(found)


def _together(keys: tuple[Key, ...]) -> Key:
    if not keys:
        return lambda _: None
    return lambda facts: tuple([key(facts) for key in keys])


def _key(name: str, below: Any) -> Key:
    """The key of one member. Within it, no two kinds of values are equal that are not the same."""
    if name == "priority":
        return lambda facts: facts.intent.priority
    if name == "invoked":
        return lambda facts: bool(facts.intent.causation_id)
    if name == "session" and below is not WHOLE and below.keys() == {"principal"}:
        return _key_of_opener
    if name == "payload" and below is not WHOLE:
        return _key_of_payload(below)
    members = None if below is WHOLE else below

    def of_any(facts: Facts) -> Hashable:
        value = facts.context(name, members)
        return None if value is None else encode(only(value, below))

    return of_any


def _key_of_opener(facts: Facts) -> Hashable:
    session = facts.session()
    return None if session is None else session.principal


def _key_of_payload(below: Mapping[str, Any]) -> Key:
    names = [(name, of) for name, of in below.items() if name not in ESCAPES]

    def key(facts: Facts) -> Hashable:
        payload = facts.payload
        if type(payload) is not dict:
            return None
        return tuple([_part(payload.get(name), of) for name, of in names])

    return key


def _part(value: Any, below: Any) -> Hashable:
    """One member of a payload: None if policies do not see it, a string or number as it is where it
    is asked, and all else by its JSON."""
    if below:
        if type(value) is str:
            return value
        if type(value) is int:  # of which bool is one that equals another
            return value if is_number(value) else None
    seen = plain(value)
    return None if seen is None else encode(only(seen, below))
