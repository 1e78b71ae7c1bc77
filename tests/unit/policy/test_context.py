"""What tells contexts apart, held against the contexts themselves.

- Two requests have the same key exactly where the context that policies ask for is the same,
  whatever stands in the payload and whatever is asked of it.
- Facts of the same parties have the same action, principal, capability and tenant.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.policies import ACTIONS, TENANTS, intent, intents, texts

from symphainy_runtime.policy.actions import ACTIVATE_POLICY
from symphainy_runtime.policy.asked import WHOLE, asked_of
from symphainy_runtime.policy.context import CONTEXT, Context
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.reading import read_rules
from symphainy_runtime.policy.recorded import Session, Target
from symphainy_schemas.records import Intent, Stage, Tenant

NAMES = ("a", "b", "__entity")
SCALARS = (
    *(None, True, False, 0, 1, 0.0, 1.0, 1.5, -1, 2**63 - 1, 2**63, 2**70, -(2**63), -(2**63) - 1),
    *("", "1", "true", "null", "ä", "a", "__entity"),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(SCALARS),
    lambda of: st.lists(of, max_size=2) | st.dictionaries(st.sampled_from(NAMES), of, max_size=2),
    max_leaves=3,
)
ASKED: st.SearchStrategy[Any] = st.recursive(
    st.just(WHOLE) | st.just({}),
    lambda of: st.dictionaries(st.sampled_from(NAMES), of, max_size=2),
    max_leaves=3,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
PAYLOADS = st.one_of(
    (OBJECTS | VALUES).map(msgspec.json.encode),
    st.sampled_from([b"", b"{", b'{"a":"\xff"}', b'{"a":1,"a":2}', b'{"a":1}x', b'{"\\u0061":1}']),
)
SESSIONS = (
    *(None, Session("ann"), Session("bob"), Session("")),
    *(Session("ann", attributes=data) for data in (b"", b'{"principal":"bob"}', b'{"a":1,"b":2}')),
    Session("bob", attributes=b'{"a":1,"b":3}'),
)
PLACES = (
    None,
    *(
        Tenant(
            tenant_id="acme",
            version=1,
            display_name="Acme",
            shard_size=0,
            created_at=0,
            attributes=attributes,
        )
        for attributes in (b"", b'{"a":1}')
    ),
)


def requests() -> st.SearchStrategy[Facts]:
    """Facts of few values each, so that two often agree in what is asked."""
    targets = [None, *(Target(name, "content.read", "bob", "content") for name in TENANTS)]
    return st.builds(
        Facts,
        st.builds(lambda one, payload: replace(one, payload=payload), intents(), PAYLOADS)
        | st.builds(lambda payload: replace(intent("content.read"), payload=payload), PAYLOADS)
        | intents(),
        st.integers(0, 7 * 86_400_000),
        st.sampled_from(PLACES),
        st.sampled_from(SESSIONS),
        st.sampled_from(targets),
    )


def told_apart(context: Context, several: list[Facts]) -> None:
    """By key and by what was asked alike."""
    seen = [(context.key(one), context.json(one)) for one in several]
    for (key, json), (other_key, other_json) in combinations(seen, 2):
        assert (key == other_key) == (json == other_json), (json, other_json)
        assert key != other_key or hash(key) == hash(other_key)


@given(texts(4), st.lists(requests(), min_size=2, max_size=8))
@settings(max_examples=100, deadline=None)
def test_keys_tell_apart_what_policies_ask(text: str, several: list[Facts]) -> None:
    rules = read_rules("acme", Stage.SECURITY_GUARD, text)
    asked = asked_of(rule.tree for rule in rules)
    told_apart(Context(asked.members["context"]), several)


@given(st.just(WHOLE) | st.dictionaries(st.sampled_from(NAMES), ASKED), st.data())
@settings(max_examples=150, deadline=None)
def test_keys_tell_payloads_apart(asked: Any, data: st.DataObject) -> None:
    payloads = data.draw(st.lists(PAYLOADS, min_size=2, max_size=8))
    one = intent("content.read")
    several = [Facts(replace(one, payload=payload), 0) for payload in payloads]
    told_apart(Context({"payload": asked}), several)


@pytest.mark.parametrize("asked", [WHOLE, {}, {"a": WHOLE}, {"a": {}}, {"b": WHOLE}])
def test_keys_tell_any_two_values_apart(asked: Any) -> None:
    values = [*SCALARS, *([one] for one in SCALARS), *({"a": one} for one in SCALARS), [], {}]
    encode, one = msgspec.json.encode, intent("content.read")
    several = [Facts(replace(one, payload=encode({"a": value})), 0) for value in values]
    told_apart(Context({"payload": {"a": asked}}), several)
    told_apart(Context({"payload": asked}), several)


@pytest.mark.parametrize(
    "asked",
    [
        *(WHOLE, {}, {"principal": WHOLE}, {"attributes": WHOLE}, {"attributes": {"a": WHOLE}}),
        {"principal": WHOLE, "attributes": {"principal": WHOLE}},
    ],
)
def test_keys_tell_sessions_apart(asked: Any) -> None:
    one = intent("content.read")
    several = [Facts(one, 0, session=session) for session in SESSIONS]
    told_apart(Context({"session": asked}), several)


@given(
    st.dictionaries(st.sampled_from(CONTEXT), st.just(WHOLE) | st.just({"principal": WHOLE})),
    st.lists(requests(), min_size=2, max_size=8),
)
@settings(deadline=None)
def test_keys_tell_the_other_members_apart(asked: Any, several: list[Facts]) -> None:
    told_apart(Context(asked), several)


@given(
    st.lists(st.sampled_from([*ACTIONS, ACTIVATE_POLICY]), min_size=1, max_size=2),
    st.lists(intents(), min_size=1, max_size=2),
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from(["", *TENANTS])), min_size=1, max_size=2
    ),
)
@settings(deadline=None)
def test_the_same_parties_are_the_same_entities(
    actions: list[str], stated: list[Intent], places: list[Any]
) -> None:
    several = [
        Facts(
            replace(one, intent_type=action, authentication=by, payload=b""), 0, place, scope=scope
        )
        for one, action, by in product(stated, actions, ("api_key", "", "api_key"))
        for place, scope in places
    ]
    for one, other in combinations(several, 2):
        if one.parties == other.parties:
            assert hash(one.parties) == hash(other.parties)
            assert one.action == other.action
            assert one.principal == other.principal
            assert one.capability == other.capability
            assert one.tenant == other.tenant


def test_the_context_of_whoever_asks_nothing_is_empty() -> None:
    one, other = Facts(intent("content.read"), 0), Facts(intent("billing.pay", priority=1), 5)
    told_apart(Context({}), [one, other])
    assert Context({}).json(one) == b"{}"
