"""What policy is asked about: an intent, and what the partition knows of it. Values only.

Each member of the context is made when a policy asks for it: most ask for few.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from symphainy_runtime.policy.actions import GOVERNANCE, REPLAY, realm_of
from symphainy_runtime.policy.plain import members_of, plain
from symphainy_schemas.records import Intent, Reference, Tenant

REFERENCE = b"artifact://"
MOST_REFERENCES = 1_000
_RESERVED = frozenset({"tenant", "name", "authentication"})
_UNREAD = object()
_decode = msgspec.json.Decoder().decode
_NONE: frozenset[str] = frozenset()


class Entity(msgspec.Struct, frozen=True):
    """One entity of a request; `attributes` is JSON. `made_of`, if not None, is hashable, and two
    entities made of the same are the same."""

    type: str
    id: str
    attributes: Mapping[str, Any]
    parents: tuple[tuple[str, str], ...] = ()
    made_of: Any = None


class Opened(Protocol):
    """What policy sees of a session."""

    @property
    def principal(self) -> str:
        """Who opened it."""
        ...

    @property
    def attributes(self) -> bytes:
        """What it is said to be, by whoever may open or change it; a JSON object."""
        ...


class Admitted(Protocol):
    """What policy sees of an execution of which something is asked."""

    @property
    def tenant_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def intent_type(self) -> str:
        """Of what type."""
        ...

    @property
    def principal(self) -> str:
        """Who stated it."""
        ...

    @property
    def realm(self) -> str:
        """In which realm it runs."""
        ...


class Facts:
    """An intent as policies see it."""

    def __init__(
        self,
        intent: Intent,
        now: int,
        tenant: Tenant | None = None,
        session: Opened | None = None,
        target: Admitted | None = None,
        scope: str = "",
    ) -> None:
        """`now` is the decision's journaled time, ms since the epoch; `target` is the execution
        of which a control intent asks something; `scope` of what governance is asked."""
        self.intent = intent
        self.scope = scope or intent.tenant_id
        self._now, self._tenant = now, tenant
        self._session, self._target = session, target
        # Each is made when it is asked for, and then kept. cached_property would take a lock.
        self._principal: Entity | None = None
        self._payload: Any = _UNREAD
        self._references: tuple[str, ...] | None = None

    @property
    def action(self) -> str:
        """The intent type."""
        return self.intent.intent_type

    @property
    def parties(self) -> Hashable:
        """All that the action, the principal, the capability and the tenant are made of: these are
        the same in two facts of the same parties."""
        intent, tenant = self.intent, self._tenant
        return (
            intent.intent_type,
            intent.tenant_id,
            intent.principal,
            intent.roles,
            intent.attributes,
            intent.authentication,
            self.scope,
            b"" if tenant is None else tenant.attributes,
        )

    def session(self) -> Opened | None:
        """The session in which the intent was stated, if there is one."""
        return self._session

    def target(self) -> Admitted | None:
        """The execution of which a control intent asks something, if there is one."""
        return self._target

    @property
    def principal(self) -> Entity:
        """Who states the intent."""
        known = self._principal
        if known is None:
            intent = self.intent
            made_of = (
                intent.tenant_id,
                intent.principal,
                intent.roles,
                intent.attributes,
                intent.authentication,
            )
            known = _PRINCIPALS.get(made_of) or _remember(_PRINCIPALS, _principal(made_of))
            self._principal = known
        return known

    @property
    def capability(self) -> Entity:
        """What the Security Guard is asked about. Of governance, its scope is the tenant."""
        intent = self.intent
        action = intent.intent_type
        made_of = action, self.scope if action in GOVERNANCE else intent.tenant_id
        return _CAPABILITIES.get(made_of) or _remember(_CAPABILITIES, _capability(made_of))

    @property
    def tenant(self) -> Entity:
        """What the City Manager is asked about."""
        made_of = self.scope, b"" if self._tenant is None else self._tenant.attributes
        return _TENANTS.get(made_of) or _remember(_TENANTS, _place(made_of))

    def data(self, reference: str) -> Entity:
        """What the Data Steward is asked about, for each reference in the payload."""
        owner = reference.removeprefix(REFERENCE.decode()).split("/", 1)[0]
        own = self.intent.payload_ref
        known: Reference | None = own if own is not None and own.uri == reference else None
        about: dict[str, Any] = {"tenant": owner}
        if known is not None:
            about |= {"size": known.size, "media_type": known.media_type}
        return Entity("Data", reference, about)

    @property
    def references(self) -> tuple[str, ...]:
        """Every reference that the payload holds, each once, in order; at most one more than
        `MOST_REFERENCES`."""
        known = self._references
        if known is None:
            known = self._references = self._refers_to()
        return known

    def _refers_to(self) -> tuple[str, ...]:
        intent = self.intent
        found: dict[str, None] = {}
        if intent.payload_ref is not None:
            found[intent.payload_ref.uri] = None
        # JSON may write a slash as \/, or any character as \u…: those are looked through, too.
        if REFERENCE in intent.payload or b"\\" in intent.payload:
            _collect(self.payload, found)
        return tuple(found)

    @property
    def payload(self) -> Any:
        """The payload as JSON; None where it is not at hand, or none."""
        if self._payload is _UNREAD:
            self._payload = self._read_payload()
        return self._payload

    def _read_payload(self) -> Any:
        if self.intent.payload_ref is not None:
            return None
        try:
            return _decode(self.intent.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def context(self, name: str, asked: Iterable[str] | None = None) -> Any:
        """A member of the context; None where there is none. Of a payload, only its members of the
        names that are `asked`, if they are told."""
        if name == "payload":
            return self._payload_facts(asked)
        made = _CONTEXT.get(name)
        return None if made is None else made(self)

    def _session_facts(self) -> Any:
        session = self.session()
        if session is None:
            return None
        return {"principal": session.principal, "attributes": members_of(session.attributes, _NONE)}

    def _target_facts(self) -> Any:
        target = self.target()
        if target is None or target.tenant_id != self.intent.tenant_id:
            return None
        return {
            "intent_type": target.intent_type,
            "principal": target.principal,
            "realm": target.realm,
        }

    def _mode(self) -> Any:
        """Always text for a replay, so that no policy need ask whether it is there."""
        if self.action != REPLAY:
            return None
        payload = self.payload
        mode = payload.get("mode") if isinstance(payload, dict) else None
        return mode if isinstance(mode, str) else ""

    def _time(self) -> Any:
        at = datetime.fromtimestamp(self._now / 1_000, UTC)
        return {"hour": at.hour, "weekday": at.isoweekday()}

    def _payload_bytes(self) -> int:
        intent = self.intent
        return len(intent.payload) if intent.payload_ref is None else intent.payload_ref.size

    def _payload_facts(self, asked: Iterable[str] | None) -> Any:
        payload = self.payload
        if not isinstance(payload, dict):
            return None
        if asked is not None:
            payload = {name: payload[name] for name in asked if name in payload}
        return plain(payload)


_CONTEXT: Mapping[str, Callable[[Facts], Any]] = {
    "priority": lambda facts: facts.intent.priority,
    "payload_bytes": Facts._payload_bytes,
    "invoked": lambda facts: bool(facts.intent.causation_id),
    "session": Facts._session_facts,
    "target": Facts._target_facts,
    "mode": Facts._mode,
    "time": Facts._time,
}


MOST_ENTITIES = 10_000
"""Entities of a kind that are kept, then forgotten at once: those who state intents recur."""
_PRINCIPALS: dict[Any, Entity] = {}
_CAPABILITIES: dict[Any, Entity] = {}
_TENANTS: dict[Any, Entity] = {}


def _remember(known: dict[Any, Entity], entity: Entity) -> Entity:
    if len(known) >= MOST_ENTITIES:
        known.clear()
    known[entity.made_of] = entity
    return entity


def _principal(made_of: tuple[str, str, tuple[str, ...], bytes, str]) -> Entity:
    tenant, name, roles, attributes, authentication = made_of
    return Entity(
        "Principal",
        f"{tenant}/{name}",
        {
            **members_of(attributes, _RESERVED),
            "tenant": tenant,
            "name": name,
            "authentication": authentication or "none",
        },
        tuple(("Role", role) for role in roles),
        made_of,
    )


def _capability(made_of: tuple[str, str]) -> Entity:
    action, tenant = made_of
    about = {"realm": realm_of(action), "tenant": tenant}
    return Entity("Capability", action, about, made_of=made_of)


def _place(made_of: tuple[str, bytes]) -> Entity:
    scope, attributes = made_of
    known = {**members_of(attributes, _RESERVED), "tenant": scope}
    return Entity("Tenant", scope, known, made_of=made_of)


def _collect(root: Any, found: dict[str, None]) -> None:
    waiting = [root]
    while waiting and len(found) <= MOST_REFERENCES:
        value = waiting.pop()
        if isinstance(value, str):
            if value.startswith(REFERENCE.decode()):
                found[value] = None
        elif isinstance(value, dict):
            waiting.extend(reversed([*value.keys(), *value.values()]))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
