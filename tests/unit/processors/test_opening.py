"""What an owner decides about sealed content.

- An intent is decided as it was stated, and journaled as it stands; what a contract says of it, and
  the hash by which its concurrency is kept, tell nobody else.
- That it cannot be read is a refusal with a code; that nobody knows now is none.
- Of a shredded tenant nothing begins, and what it has can be brought to an end.
- A plan's conditions, lists, inputs and result are of what is sealed, and are sealed themselves.
- Of shredded content a plan goes on without raising, and no input that follows can be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.processors.plan_bench import Bench, step
from tests.unit.processors.test_admission import CAPABILITY, KNOWN, STATED

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.admission.decide import admit
from symphainy_processors.fold import content as fold_content
from symphainy_processors.fold import plans
from symphainy_processors.owner.opening import legible, opened
from symphainy_schemas import events as e
from symphainy_schemas.records import Intent
from symphainy_transport.privacy.content import Content, Opener, Standing
from symphainy_transport.privacy.envelope import DataKey
from symphainy_transport.privacy.errors import ContentCorrupt, KeysUnavailable
from symphainy_transport.privacy.keyring import TenantKeys
from symphainy_transport.privacy.marking import is_sealed, token
from symphainy_transport.privacy.records import is_in_clear, sealed_intent

SHREDDED = Opener("acme", Standing.SHREDDED)
UNKNOWN = Opener("acme", Standing.UNKNOWN)


def sealing(*, required: bool = False) -> Opener:
    keys = {1: DataKey("acme", 1, bytes(range(32)))}
    return Opener("acme", Standing.SEALED, TenantKeys("acme", keys, required))


class Given(Content):
    """One opener, which may be exchanged."""

    def __init__(self, opener: Opener | Exception) -> None:
        super().__init__()
        self.opener = opener

    def of(self, tenant_id: str) -> Opener:
        if isinstance(self.opener, Exception):
            raise self.opener
        return self.opener


SEALED = sealed_intent(sealing(), STATED)
assert is_sealed(SEALED.payload)


def admitted(intent: Intent, opener: Opener, capability: Any = CAPABILITY) -> tuple[e.Event, ...]:
    found = opened(Given(opener), intent)
    contract = Contracts().of(capability)
    known = replace(
        KNOWN,
        capability=capability,
        contract=found.checking(contract),
        stands=intent,
        unreadable=found.problem,
        index=found.index,
    )
    return admit(found.intent, known)


def test_it_is_decided_as_stated_and_journaled_as_it_stands() -> None:
    strict = replace(CAPABILITY, input_contract=b'{"type":"object","required":["path"]}')
    events = admitted(SEALED, sealing(), strict)
    received = events[0]
    assert isinstance(received, e.IntentReceived)
    assert (received.payload, received.metadata) == (SEALED.payload, SEALED.metadata)
    assert received.solution_context == SEALED.solution_context
    assert isinstance(events[-1], e.ExecutionStarted)
    clear = admitted(STATED, Opener("acme", Standing.CLEAR), strict)
    assert [type(one) for one in events] == [type(one) for one in clear]


def test_what_a_contract_says_of_it_is_sealed() -> None:
    strict = replace(
        CAPABILITY, input_contract=b'{"type":"object","properties":{"path":{"type":"integer"}}}'
    )
    for opener, intent in ((sealing(), SEALED), (Opener("acme", Standing.CLEAR), STATED)):
        rejected = admitted(intent, opener, strict)[-1]
        assert isinstance(rejected, e.IntentRejected)
        error = rejected.error
        assert (error.code, error.field) == ("contract_violation", "/payload/path")
        assert ("a.pdf" in error.message) is (intent is STATED)
        assert "a.pdf" in opener.reveal(error.message)


def test_the_hash_of_a_concurrency_key_is_keyed() -> None:
    keyed = replace(CAPABILITY, concurrency_key="/path")

    def key(intent: Intent, opener: Opener) -> str:
        found = [x for x in admitted(intent, opener, keyed) if isinstance(x, e.CapabilityResolved)]
        return found[0].concurrency_key

    sealed = key(SEALED, sealing())
    assert sealed == key(sealed_intent(sealing(), replace(STATED, intent_id="b")), sealing())
    assert sealed != key(STATED, Opener("acme", Standing.CLEAR))


@pytest.mark.parametrize(
    ("intent", "opener", "code"),
    [
        (SEALED, SHREDDED, "content_shredded"),
        (STATED, SHREDDED, "content_shredded"),
        (SEALED, UNKNOWN, "keys_not_set"),
        (replace(SEALED, payload=SEALED.payload[:-9] + b'"}'), sealing(), "content_corrupt"),
        (replace(STATED, payload=token(b"")), sealing(), "content_corrupt"),
        (STATED, sealing(required=True), "encryption_required"),
    ],
)
def test_that_it_cannot_be_read_is_a_refusal(intent: Intent, opener: Opener, code: str) -> None:
    received, rejected = admitted(intent, opener)
    assert isinstance(received, e.IntentReceived)
    assert received.payload == intent.payload
    assert isinstance(rejected, e.IntentRejected)
    assert rejected.error.code == code
    assert rejected.error.cure or rejected.error.operator_action


def test_that_nobody_knows_now_is_no_refusal() -> None:
    with pytest.raises(KeysUnavailable):
        opened(Given(KeysUnavailable("away")), SEALED)


@pytest.mark.parametrize(
    ("intent_type", "refused"),
    [
        ("runtime.cancel", False),
        ("runtime.compensate", False),
        ("runtime.close_session", False),
        ("runtime.open_session", True),
        ("runtime.signal", True),
        ("runtime.retry_step", True),
    ],
)
def test_what_a_shredded_tenant_has_can_only_end(intent_type: str, refused: bool) -> None:
    asked = replace(STATED, intent_type=intent_type, realm="runtime", payload=b"{}")
    assert (opened(Given(SHREDDED), asked).problem is not None) is refused


def test_of_what_the_runtime_is_asked_its_content_alone_is_sealed() -> None:
    payload = b'{"execution_id":"x","name":"n","data":{"a":1}}'
    stated = replace(STATED, intent_type="runtime.signal", realm="runtime", payload=payload)
    sealed = sealed_intent(sealing(), stated)
    told = msgspec.json.decode(sealed.payload)
    assert (told["execution_id"], told["name"]) == ("x", "n")
    assert sealing().reveal(told["data"]) == {"a": 1}
    assert is_in_clear(stated)
    assert not is_in_clear(sealed)
    nothing = replace(stated, payload=b'{"execution_id":"x","name":"n"}')
    assert not is_in_clear(nothing)
    assert sealed_intent(sealing(), nothing).payload == nothing.payload


# --- plans ------------------------------------------------------------------------------------


@pytest.fixture
def given() -> Iterator[Given]:
    """Content as plans see it, sealed at first."""
    one = Given(sealing())
    before = fold_content.install(legible(one))
    yield one
    fold_content.install(before)


ITEMS = b'{"$from":"payload","at":"/items"}'
EACH = b'{"item":{"$from":"$each","at":"/id"}}'
ALL = b'{"all":{"$from":"charge","at":""}}'
OPEN = b'{"$from":"payload","at":"/open","in":[true]}'
PLAN = (
    step("charge", input=EACH, for_each=ITEMS, undo=False),
    step("bill", "charge", input=ALL, condition=OPEN, undo=False),
)
PAYLOAD = b'{"open":true,"items":[{"id":1},{"id":2}]}'


def sealed_plan(given: Given) -> Bench:
    return Bench(PLAN, payload=sealing().seal("p", PAYLOAD), output=ALL)


def test_a_plan_goes_on_with_what_is_sealed_and_seals_what_it_carries(given: Given) -> None:
    work = sealed_plan(given)
    assert work.running == {"charge[0]", "charge[1]"}
    got = plans.input_of(work.state, "charge[1]")
    assert is_sealed(got)
    assert sealing().open(got) == b'{"item":2}'
    for name, result in (("charge[0]", b'"a"'), ("charge[1]", b'"b"')):
        work.succeeds(name, sealing().seal(name, result))
    assert work.running == {"bill"}
    assert sealing().open(plans.input_of(work.state, "bill")) == b'{"all":["a","b"]}'
    work.succeeds("bill", sealing().seal("bill", b"1"))
    ended = work.told[-1]
    assert isinstance(ended, e.ExecutionSucceeded)
    assert is_sealed(ended.result)
    assert sealing().open(ended.result) == b'{"all":["a","b"]}'


def test_of_shredded_content_nothing_raises_and_nothing_can_be_opened(given: Given) -> None:
    work = sealed_plan(given)
    sealed = [sealing().seal(name, b"1") for name in ("charge[0]", "charge[1]")]
    given.opener = SHREDDED
    got = plans.input_of(work.state, "charge[0]")
    with pytest.raises(ContentCorrupt):
        sealing().open(got)
    for name, result in zip(("charge[0]", "charge[1]"), sealed, strict=True):
        work.succeeds(name, result)
    assert isinstance(work.told[-1], e.ExecutionSucceeded)  # the condition holds no more


def test_that_nobody_knows_now_decides_nothing_of_a_plan(given: Given) -> None:
    work = sealed_plan(given)
    given.opener = KeysUnavailable("away")
    with pytest.raises(KeysUnavailable):
        plans.input_of(work.state, "charge[0]")
