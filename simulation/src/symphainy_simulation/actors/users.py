"""Who states intents: gateways and direct producers, honest ones and others.

What is not acknowledged is unknown, and is repeated under the same id until it is.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from symphainy_runtime.policy.actions import REPLAY
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.records import Intent, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState
from symphainy_simulation.actors import operators
from symphainy_simulation.actors.programs import Input, Line, Payload, Planned, encode_payload
from symphainy_simulation.checking.history import Acknowledged
from symphainy_simulation.plan import TENANTS, Kind, Stated
from symphainy_simulation.world.events import EPOCH_MS, MS
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Fate, Ordained, Producer
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import INTENTS, STEPS

MESSAGE_TIMEOUT_MS = 350
_NOISE = (
    b"\xff not a record",
    None,
    b"",
    b"\xc3\x01" + b"\x07" * 8 + b"of a schema that nobody knows",
    b"\xc3\x01",
)
REQUESTS = {
    Kind.CANCEL: "runtime.cancel",
    Kind.PAUSE: "runtime.pause",
    Kind.RESUME: "runtime.resume",
    Kind.RETRY: "runtime.retry_step",
    Kind.UNDO: "runtime.compensate",
}
NEVER_REFUSED = (PLATFORM_OPERATOR,)  # what brings a run to its end
OWN_ID = frozenset({Kind.SIGNAL, Kind.REPLAY, *REQUESTS})


class Users:
    """All of them, on one machine that never fails."""

    def __init__(self, universe: Universe, partitions: int, stated: tuple[Stated, ...]) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.waiting = 0
        """What is to be acknowledged yet."""
        self._knocks = 0
        self._universe = universe
        self._partitions = partitions
        self._woken: set[tuple[str, int]] = set()
        self._operators = operators.Operators(universe.stream("operators"))
        self._by_number = {one.number: one for one in stated}
        self._chance = universe.stream("users")
        self.process = Process("a user", universe.events)
        self.process.begin()
        self._producer = Producer(
            self.process,
            universe.network,
            universe.stream("users/producer"),
            MESSAGE_TIMEOUT_MS,
            lambda done: done(),
        )
        self._producer.landed = universe.landed("a user")
        for one in stated:
            if one.kind is Kind.GOVERN:
                continue  # see `governors`
            self.waiting += 1
            universe.events.at(one.at_ms * MS, lambda one=one: self._state(one))  # type: ignore[misc]

    def session(self, one: Stated) -> str:
        """The id of the session that is meant; it carries its partition."""
        place = TENANTS.index(one.tenant) * 3 + one.session
        return f"ses-{place % self._partitions}-{place:032x}"

    def partition(self, one: Stated) -> int:
        """Where the session lives."""
        return ids.partition_of(self.session(one))

    def _state(self, one: Stated) -> None:
        match one.kind:
            case Kind.SKIP:
                self._universe.log(INTENTS, self.partition(one)).skip()
                self.waiting -= 1
            case Kind.GARBAGE:
                self._garble(one)
            case Kind.FORGED:
                self._forge(one)
            case Kind.MISPLACED:
                wrong = (self.partition(one) + 1) % self._partitions
                self._produce(one, self._intent(one), wrong)
            case _:
                self._produce(one, self._intent(one), self.partition(one))

    def knock(self, partition: int) -> None:
        """State something harmless, for its owner to see where it stands."""
        one = Stated(
            0, 0, Kind.INTENT, TENANTS[0], 0, intent_type="work.quick", roles=NEVER_REFUSED
        )
        self._knocks += 1
        intent = replace(
            self._intent(one),
            intent_id=f"knock{self._knocks}",
            session_id=f"ses-{partition}-{9:032x}",
        )
        self.waiting += 1
        self._produce(one, intent, partition)

    def wake(self, state: ExecutionState) -> None:
        """Resume an execution that was left to rest; once for each time that it was paused."""
        if (state.execution_id, state.controlled_at) in self._woken:
            return
        self._woken.add((state.execution_id, state.controlled_at))
        self._control(state, Kind.RESUME, f"wake{len(self._woken)}", {})

    def tend(self, state: ExecutionState) -> bool:
        """Do something about an execution that is stuck; False if it is left so."""
        act = self._operators.act(state)
        if act is not None:
            self._control(state, *act)
        return act is not None

    def _control(
        self, state: ExecutionState, kind: Kind, intent_id: str, what: dict[str, object]
    ) -> None:
        one = Stated(0, 0, Kind.INTENT, state.tenant_id, 0, roles=NEVER_REFUSED)
        intent = replace(
            self._intent(one),
            intent_id=intent_id,
            intent_type=REQUESTS[kind],
            realm="runtime",
            session_id=state.session_id,
            payload=msgspec.json.encode({"execution_id": state.execution_id, **what}),
        )
        self.waiting += 1
        self._produce(one, intent, ids.partition_of(state.session_id))

    # --- honest ---------------------------------------------------------------------------------

    def _intent(self, one: Stated) -> Intent:
        first = self._by_number.get(one.of, one)
        payload: Payload | Planned | Input = Payload(first.number, first.key, first.lines)
        parts = dict(first.parts)
        if "main" in parts:
            main = parts["main"]
            payload = Input(first.number, first.key, main.lines, main.undo)
        elif parts:
            many = msgspec.UNSET if first.many is None else first.many
            payload = Planned(first.number, first.key, parts, many)
        if one.kind is Kind.OTHER:
            payload = Payload(-1, first.key, (Line("work", ms=1),))
        intent_type = first.intent_type or "work.quick"
        body = encode_payload(payload)
        if one.kind is Kind.OPEN:
            intent_type, body = "runtime.open_session", _opening(one)
        elif one.kind is Kind.CLOSE:
            mode = {"mode": "cancel"} if one.cancels else {}
            body = msgspec.json.encode({"reason": "done", **mode})
            intent_type = "runtime.close_session"
        elif one.kind is Kind.CHANGE:
            body = msgspec.json.encode({"attributes": {"by": one.number, "first": one.cancels}})
            intent_type = "runtime.change_session"
        elif one.kind is Kind.EXPIRE:
            intent_type, body = "runtime.expire_session", b"{}"
        elif one.kind is Kind.SIGNAL:
            intent_type, body = "runtime.signal", self._asks(first, name=one.key, data=one.number)
        elif one.kind is Kind.REPLAY:
            intent_type, body = REPLAY, self._asks(first, mode=one.key)
        elif one.kind in REQUESTS:
            what = {"reason": f"r{one.number}", **operators.asks(one, first)}
            if one.variant:
                what["execution_id"] = self._child(first, one.variant)
            intent_type, body = REQUESTS[one.kind], self._asks(first, **what)
        intent = Intent(
            intent_id=f"i{(one if one.kind in OWN_ID else first).number}",
            intent_type=intent_type,
            realm=intent_type.split(".", maxsplit=1)[0],
            session_id=self.session(one),
            tenant_id=one.tenant,
            principal="ann",
            correlation_id=f"c{one.number}",
            payload=body,
            metadata=b"{}",
            solution_context=b"",
            created_at=EPOCH_MS + one.at_ms,
            priority=first.priority,
            roles=one.roles,
            authentication="key" if one.credential else "",
            credential=one.credential,
        )
        return _spoilt(intent, one.variant) if one.kind is Kind.WRONG else intent

    def _asks(self, first: Stated, **what: object) -> bytes:
        return msgspec.json.encode({"execution_id": self._execution(first), **what})

    def _execution(self, first: Stated) -> str:
        partition, session = self.partition(first), self.session(first)
        return ids.execution_id(first.tenant, session, f"i{first.number}", partition)

    def _child(self, first: Stated, number: int) -> str:
        """One of those that an execution has invoked by now; itself, if there is none."""
        partition, parent = self.partition(first), self._execution(first)
        found = [parent]
        for _, stored in self._universe.log(INTENTS, partition).read(0, 1 << 30):
            with suppress(UnreadableRecord):
                one = decode(stored.value, Intent)
                if one.causation_id == parent:
                    place = one.tenant_id, one.session_id, one.intent_id
                    found.append(ids.execution_id(*place, partition))
        return found[min(number, len(found) - 1)]

    def _produce(self, one: Stated, intent: Intent, partition: int, tries: int = 0) -> None:
        log, value = self._universe.log(INTENTS, partition), encode(intent)
        if one.fate and not tries:
            late = self._chance.randrange(300 * MS)
            self._producer.ordained.append(Ordained(INTENTS, 0, Fate(one.fate), late))

        def done(offset: int | None, at_ms: int) -> None:
            if offset is None:
                pause = self._chance.randrange(20, 300) * MS
                again = lambda: self._produce(one, intent, partition, tries + 1)  # noqa: E731
                self._universe.events.after(pause, again)
                return
            self.waiting -= 1
            self.acknowledged.append(
                Acknowledged(
                    intent.tenant_id,
                    intent.session_id,
                    intent.intent_id,
                    ids.execution_id(
                        intent.tenant_id, intent.session_id, intent.intent_id, partition
                    ),
                    partition,
                    offset,
                    sha256(intent.payload).digest(),
                )
            )

        self._producer.produce(log, intent.session_id.encode(), value, done)

    # --- others ---------------------------------------------------------------------------------

    def _garble(self, one: Stated) -> None:
        topic = STEPS if one.variant % 2 else INTENTS
        noise = _NOISE[one.variant // 2 % len(_NOISE)]
        if one.variant >= 56:
            noise = encode(self._intent(one))[:-3]
        elif one.variant >= 50:  # a record, but of the other topic
            other = self._report(one, "x")
            noise = encode(other) if topic == INTENTS else encode(self._intent(one))
        self._write(topic, self.partition(one), noise)

    def _forge(self, one: Stated) -> None:
        """A report that knows no token; or one that was reported before, once more."""
        partition = self.partition(one)
        before = list(self._universe.log(STEPS, partition).read(0, 1 << 30))
        if one.variant >= 4 and before:
            self._write(STEPS, partition, self._chance.choice(before)[1].value)
            return
        first = self._by_number.get(one.of, one)
        intent_id = f"i{first.number}"
        execution = ids.execution_id(one.tenant, self.session(one), intent_id, partition)
        self._write(STEPS, partition, encode(self._report(one, execution)))

    def _report(self, one: Stated, execution_id: str) -> StepReport:
        kinds = (
            ReportKind.SUCCEEDED,
            ReportKind.FAILED,
            ReportKind.HANDED_BACK,
            ReportKind.STARTED,
        )
        return StepReport(
            kind=kinds[one.variant % 4],
            execution_id=execution_id,
            session_id=self.session(one),
            tenant_id=one.tenant,
            step="main",
            attempt=1,
            delivery=1 + one.variant % 2,
            token="" if one.variant % 3 else "guessed",
            dispatched_at=1,
            worker="mallory",
            at=EPOCH_MS + one.at_ms,
            result=b'"stolen"',
        )

    def _write(self, topic: str, partition: int, value: bytes | None) -> None:
        def done(offset: int | None, at_ms: int) -> None:
            self.waiting -= 1

        self._producer.produce(self._universe.log(topic, partition), b"k", value, done)


def _opening(one: Stated) -> bytes:
    told: dict[str, object] = {"attributes": {}}
    told |= {"idle_ms": one.idle_ms} if one.idle_ms else {}
    told |= {"lifetime_ms": one.lifetime_ms} if one.lifetime_ms else {}
    return msgspec.json.encode(told | ({"at_expiry": "cancel"} if one.cancels else {}))


def _spoilt(intent: Intent, variant: int) -> Intent:
    """An intent that is refused."""
    changes: tuple[dict[str, object], ...] = (
        {"intent_type": "work.unknown"},
        {"tenant_id": "nobody"},
        {"priority": 9},
        {"intent_id": "not an id"},
        {"session_id": intent.session_id[:-4] + "ffff"},
        {"payload": b"[1"},
        {"payload": msgspec.json.encode({"n": "no number"})},
        {"intent_type": "runtime.dance", "realm": "runtime"},
        {"realm": "side"},
    )
    return replace(intent, **changes[variant % len(changes)])
