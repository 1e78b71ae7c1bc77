"""A candidate beside what was recorded.

- The set that decided changes nothing; any other changes exactly what it decides otherwise.
- The facts are those that admission had: the session's principal, a control intent's target.
- What stands before the range is looked up or undetermined, and never guessed.
- A tenant's candidate judges its intents, but not what governs; the platform's judges both.
- What was refused before policy was asked, and what is older than policy, is counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.judging import READS, History, scope_of
from tests.support.policies import intent, intents, policy_set, sets

from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_runtime.policy.backtest import (
    ALLOW_DENY,
    ASSUMED,
    DENY_ALLOW,
    OTHER_STAGE,
    RECORDED,
    Candidate,
    Change,
    Comparing,
    Prepared,
    Tally,
    as_json,
    refusing,
)
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.recorded import (
    Judged,
    Memory,
    RecordedFacts,
    Refused,
    Session,
    Standing,
    Target,
    Unknown,
    read,
)
from symphainy_schemas.events import JournalRecord, PolicyValidated
from symphainy_schemas.records import PLATFORM, Intent, PolicySet
from symphainy_schemas.state import ExecutionState, SessionState
from symphainy_transport.topics import DAY_MS

ALL = "permit(principal, action, resource);"
SESSIONS = tuple(f"ses-0-{number:032x}" for number in range(3))


def candidate(own: PolicySet, platform: PolicySet = BUILT_IN) -> Candidate:
    """A tenant's."""
    return Candidate(scope=own.scope, platform=platform, tenants={own.scope: own})


def platform_candidate(platform: PolicySet, **tenants: PolicySet) -> Candidate:
    """The platform's."""
    return Candidate(scope=PLATFORM, platform=platform, tenants=tenants)


class Outcome:
    """What a backtest of records found, by offset."""

    def __init__(
        self,
        records: Sequence[tuple[int, JournalRecord]],
        one: Candidate,
        *,
        start: int = 0,
        earlier: Mapping[str, Standing] | None = None,
    ) -> None:
        memory = Memory(window_ms=7 * DAY_MS, whole=start == 0)
        comparing = Comparing(0, Prepared(one), memory, READS, lambda _: None)
        self.looked_at: list[int] = []
        self.changes: dict[int, Change] = {}
        self.refused: list[int] = []
        later = []
        for offset, record in records:
            if offset < start:
                continue
            found = read(record, offset)
            if isinstance(found, Refused):
                self.refused.append(offset)
            elif found is not None and one.judges(found.tenant_id, found.intent_type):
                self.looked_at.append(offset)
                try:
                    self._take(comparing.compare(found))
                except Unknown:
                    later.append(found)
            memory.take(record, offset)
        self.unknown: list[int] = []
        memory.look_back(earlier or {})
        for judged in later:
            try:
                self._take(comparing.compare(judged))
            except Unknown:
                self.unknown.append(judged.offset)

    def _take(self, change: Change | None) -> None:
        if change is not None:
            self.changes[change.offset] = change


Step = tuple[Intent, int, int, str]


def steps() -> st.SearchStrategy[list[Step]]:
    """What is stated: an intent, which session, which execution before it, what else."""
    kinds = [
        "intent",
        "intent",
        "open",
        "signal",
        "replay",
        "other",
        "malformed",
        "suspend",
        "again",
    ]
    return st.lists(
        st.tuples(intents(), st.integers(0, 2), st.integers(0, 6), st.sampled_from(kinds)),
        min_size=1,
        max_size=14,
    )


def written(steps: list[Step], policies: Policies, governing: Policies) -> History:
    """A history of these steps; all intents are acme's."""
    history = History(policies, governing)
    stated: list[Intent] = []
    for number, (one, session, back, kind) in enumerate(steps):
        one = replace(one, tenant_id="acme", intent_id=f"i{number}", session_id=SESSIONS[session])
        target = (
            history.execution(stated[-1 - back % len(stated)]) if stated else "exe-0-" + "0" * 32
        )
        if kind == "open":
            one = _runtime(one, "open_session", b"{}")
        elif kind == "signal":
            one = _runtime(one, "signal", b'{"execution_id":"%s","name":"go"}' % target.encode())
        elif kind == "replay":
            told = b'{"execution_id":"%s","mode":"full"}' % target.encode()
            one = _runtime(one, "replay", told)
        elif kind == "other":
            one = _runtime(one, "signal", b'{"execution_id":"exe-0-%s","name":"go"}' % (b"1" * 32))
        elif kind == "malformed":
            one = _runtime(one, "signal", b'{"execution_id":"%s"}' % target.encode())
        elif kind == "suspend":
            one = _runtime(one, "suspend_tenant", b'{"scope":"acme"}')
        elif kind == "again" and stated:
            one = stated[-1]
        stated.append(one)
        history.state_intent(one)
        if back == 6:
            history.take_over()
    return history


def _runtime(one: Intent, action: str, payload: bytes) -> Intent:
    return replace(one, intent_type=f"runtime.{action}", realm="runtime", payload=payload)


def expected(history: History, one: Candidate) -> dict[int, bool]:
    """By offset, whether the candidate decides otherwise, from the very facts of admission."""
    found = {}
    for asked in history.asked:
        about = asked.facts.intent
        if one.judges(about.tenant_id, about.intent_type):
            decided = one.policies(about.tenant_id, about.intent_type).decide(asked.facts)
            before, after = refusing(asked.decision), refusing(decided)
            found[asked.offset] = (before and before.stage) != (after and after.stage)
    return found


PAIRS = st.tuples(sets("platform"), sets("acme"))


@given(steps(), PAIRS)
@settings(max_examples=60, deadline=None)
def test_the_set_that_decided_changes_nothing(
    steps: list[Step], pair: tuple[PolicySet, PolicySet]
) -> None:
    platform, own = pair
    history = written(steps, Policies(platform, own), Policies(platform, None))
    for one in (candidate(own, platform), platform_candidate(platform, acme=own)):
        outcome = Outcome(history.records, one)
        assert not outcome.changes
        assert not outcome.unknown
        assert outcome.looked_at == list(expected(history, one))


@given(steps(), PAIRS, PAIRS)
@settings(max_examples=80, deadline=None)
def test_another_set_changes_exactly_what_it_decides_otherwise(
    steps: list[Step], pair: tuple[PolicySet, PolicySet], other: tuple[PolicySet, PolicySet]
) -> None:
    platform, own = pair
    history = written(steps, Policies(platform, own), Policies(platform, None))
    for one in (candidate(other[1], platform), platform_candidate(other[0], acme=own)):
        outcome = Outcome(history.records, one)
        assert not outcome.unknown
        wanted = expected(history, one)
        assert set(outcome.changes) == {offset for offset, changed in wanted.items() if changed}


@given(steps(), PAIRS, sets("acme"), st.integers(1, 12), st.booleans())
@settings(max_examples=80, deadline=None)
def test_from_the_middle_nothing_is_guessed(
    steps: list[Step],
    pair: tuple[PolicySet, PolicySet],
    other: PolicySet,
    start: int,
    state: bool,
) -> None:
    history = written(steps, Policies(*pair), Policies(pair[0], None))
    one = candidate(other, pair[0])
    outcome = Outcome(history.records, one, start=start, earlier=_state(history) if state else None)
    wanted = {at: changed for at, changed in expected(history, one).items() if at >= start}
    assert outcome.looked_at == list(wanted)
    for offset, changed in wanted.items():
        if offset not in outcome.unknown:
            assert (offset in outcome.changes) == changed


def _state(history: History) -> dict[str, Standing]:
    """What `state` tells at the end of everything."""
    found: dict[str, Standing] = {}
    for name, body in history.state.everything().items():
        if isinstance(body, SessionState):
            found[name] = Session(
                body.principal,
                body.opened_at,
                attributes=body.attributes,
                changed_at=body.changed_at,
            )
        elif isinstance(body, ExecutionState):
            found[name] = Target(
                body.tenant_id, body.intent_type, body.principal, body.realm, body.started_at
            )
    return found


def opened(policies: Policies, principal: str = "ann") -> History:
    """A history whose first intent opens a session."""
    history = History(policies)
    history.state_intent(intent("runtime.open_session", principal=principal, name="open"))
    return history


def test_a_sessions_principal_from_before_the_range_is_looked_up_or_undetermined() -> None:
    history = opened(Policies(BUILT_IN, None))
    for number, who in enumerate(["ann", "bob"]):
        history.state_intent(intent("content.read", principal=who, name=f"i{number}"))
    own = policy_set(
        "acme",
        f"{ALL} forbid(principal, action, resource) "
        "unless { context has session && context.session.principal == principal.name };",
    )
    whole = Outcome(history.records, candidate(own))
    assert list(whole.changes) == [1, 3]  # there was no session when it was opened
    assert whole.changes[3].group.transition == ALLOW_DENY
    middle = Outcome(history.records, candidate(own), start=2)
    assert (middle.unknown, middle.changes) == ([2, 3], {})
    found = Outcome(history.records, candidate(own), start=2, earlier=_state(history))
    assert (found.unknown, list(found.changes)) == ([], [3])


def test_what_policy_was_never_asked_of_is_not_judged() -> None:
    history = opened(Policies(BUILT_IN, None))
    history.state_intent(intent("runtime.expire_session", principal="runtime", name="over"))
    nobody = policy_set("acme", 'permit(principal in Role::"x", action, resource);')
    outcome = Outcome(history.records, candidate(nobody))
    assert (list(outcome.changes), outcome.looked_at, outcome.refused) == ([1], [1], [])


def test_whose_session_was_not_there_before_is_known_from_the_middle_on() -> None:
    history = History(Policies(BUILT_IN, None))
    for name in ("opens", "follows"):
        action = "runtime.open_session" if name == "opens" else "runtime.signal"
        history.state_intent(intent(action, name=name, session=SESSIONS[0]))
    opens, follows = (read(record, offset) for offset, record in history.records[1:])
    assert isinstance(opens, Judged)
    assert isinstance(follows, Judged)
    assert (opens.opens, follows.opens) == (True, False)
    governs = replace(follows, intent=intent("runtime.suspend_tenant", session=SESSIONS[0]))
    middle = Memory(window_ms=DAY_MS, whole=False)
    assert RecordedFacts(opens, middle, READS, lambda _: None).session() is None
    assert RecordedFacts(governs, middle, READS, lambda _: None).session() is None
    with pytest.raises(Unknown):
        RecordedFacts(follows, middle, READS, lambda _: None).session()


def test_a_sessions_attributes_are_those_of_the_moment_or_undetermined() -> None:
    history = opened(Policies(BUILT_IN, None))
    history.state_intent(intent("content.read", principal="ann", name="i0"))
    for number, stage in enumerate(("locked", "open")):
        patch = {"attributes": {"stage": stage}}
        history.state_intent(intent("runtime.change_session", name=f"c{number}", payload=patch))
        history.state_intent(intent("content.read", principal="ann", name=f"i{number + 1}"))
    locked = policy_set(
        "acme",
        f'{ALL} forbid(principal, action == Action::"content.read", resource) when {{ context '
        "has session && context.session.attributes has stage && "
        "context.session.attributes.stage == "
        '"locked" };',
    )
    assert list(Outcome(history.records, candidate(locked)).changes) == [4]
    # Of what stood before the range, `state` tells only what became of it.
    outcome = Outcome(history.records, candidate(locked), start=2, earlier=_state(history))
    assert (2 in outcome.unknown, list(outcome.changes)) == (True, [4])


def test_a_target_is_known_by_what_it_is_and_whose() -> None:
    history = opened(Policies(BUILT_IN, None))
    first = intent("content.read", principal="bob", name="first")
    history.state_intent(first)
    for number, name in enumerate([history.execution(first), "exe-0-" + "1" * 32]):
        stated = intent(
            "runtime.signal", name=f"s{number}", payload={"execution_id": name, "name": "x"}
        )
        history.state_intent(stated)
    own = policy_set(
        "acme",
        f'{ALL} forbid(principal, action in Action::"runtime", resource) when {{ context has '
        "target && context.target.principal != principal.name };",
    )
    outcome = Outcome(history.records, candidate(own))
    assert list(outcome.changes) == [3]


def test_whether_a_replays_target_was_known_is_not_guessed_once_it_may_be_forgotten() -> None:
    history = opened(Policies(BUILT_IN, None))
    first = intent("content.read", principal="bob", name="first")
    history.state_intent(first)
    target = history.execution(first)
    payload = {"execution_id": target, "mode": "events_only"}
    history.state_intent(intent("runtime.replay", name="soon", payload=payload))
    history.pass_time(8 * DAY_MS)
    history.state_intent(intent("runtime.replay", name="late", payload=payload))
    own = policy_set(
        "acme",
        f'{ALL} forbid(principal, action == Action::"runtime.replay", resource) when {{ context '
        "has target && context.target.principal != principal.name };",
    )
    outcome = Outcome(history.records, candidate(own))
    assert (list(outcome.changes), outcome.unknown) == ([3], [4])
    by_mode = policy_set(
        "acme",
        f'{ALL} forbid(principal, action == Action::"runtime.replay", resource) when {{ '
        'context.mode == "events_only" };',
    )
    assert list(Outcome(history.records, candidate(by_mode)).changes) == [3, 4]


def test_a_tenants_candidate_does_not_judge_what_governs() -> None:
    history = opened(Policies(BUILT_IN, None))
    history.state_intent(
        intent(
            "runtime.suspend_tenant", roles=["tenant_admin"], payload={"scope": "acme"}, name="s"
        )
    )
    nothing = policy_set("acme", 'permit(principal == Principal::"nobody", action, resource);')
    assert Outcome(history.records, candidate(nothing)).looked_at == [1]
    assert Outcome(history.records, candidate(policy_set("globex"))).looked_at == []
    none = Outcome(history.records, platform_candidate(policy_set("platform"), acme=nothing))
    assert list(none.changes) == [1, 2]


def test_transitions_and_rules_are_told() -> None:
    history = History(
        Policies(
            BUILT_IN,
            policy_set(
                "acme",
                f'{ALL} @id("old") forbid(principal, action, resource) '
                "when { context.priority == 5 };",
            ),
        )
    )
    for number, priority in enumerate([1, 5, 5]):
        history.state_intent(
            intent(
                "runtime.open_session",
                priority=priority,
                name=f"i{number}",
                session=SESSIONS[number],
                principal=["ann", "ann", "bob"][number],
            )
        )
    own = policy_set(
        "acme",
        '@id("all") permit(principal, action, resource);'
        '@id("new") forbid(principal, action, resource) when { context.priority == 1 };',
        '@id("not_bob") permit(principal, action, resource) unless { principal.name == "bob" };',
    )
    changes = Outcome(history.records, candidate(own)).changes
    told = [
        (one.group.transition, one.group.recorded, one.group.candidate) for one in changes.values()
    ]
    guard = "acme/security_guard"
    everything = "platform/city_manager/everything"
    assert told == [
        (ALLOW_DENY, (f"{guard}/policy0", everything), (f"{guard}/new",)),
        (DENY_ALLOW, (f"{guard}/old",), (f"{guard}/all", "acme/city_manager/not_bob")),
        (OTHER_STAGE, (f"{guard}/old",), ("No policy permits it.",)),
    ]
    document: Any = as_json(changes[3])
    assert document["execution_id"].startswith("exe-0-")
    assert document["candidate"]["stage"] == "city_manager"
    assert (document["journal_offset"], document["intents_offset"]) == (3, 2)


def test_what_is_older_than_policy_and_what_was_never_asked_is_counted_apart() -> None:
    history = opened(Policies(BUILT_IN, None))
    history.state_intent(replace(intent("content.read", name="x"), priority=9))
    assert [len(record.events) for _, record in history.records] == [1, 4, 2]
    older = [
        (
            offset,
            replace(
                record, events=tuple(e for e in record.events if type(e) is not PolicyValidated)
            ),
        )
        for offset, record in history.records
    ]
    none = candidate(policy_set("acme", 'permit(principal in Role::"x", action, resource);'))
    for records, baseline in ((history.records, RECORDED), (older, ASSUMED)):
        outcome = Outcome(records, none)
        assert outcome.refused == [2]
        assert [one.group.baseline for one in outcome.changes.values()] == [baseline]


@pytest.mark.parametrize("member", ["session", "target"])
def test_a_candidate_says_what_it_asks(member: str) -> None:
    asking = policy_set(
        "acme", "", f"permit(principal, action, resource) when {{ context has {member} }};"
    )
    assert candidate(asking).asks(member, "nobody") == (True, False)
    assert platform_candidate(policy_set("platform"), acme=asking).asks(member) == (True,)
    whole = policy_set("acme", "permit(principal, action, resource) when { context == context };")
    assert candidate(whole).asks(member) == (True,)
    assert candidate(policy_set("acme", ALL)).asks(member) == (False,)


def test_tallies_add_up_and_keep_few_examples() -> None:
    history = History(Policies(BUILT_IN, None))
    for number in range(6):
        history.state_intent(
            intent("runtime.open_session", name=f"i{number}", session=f"ses-0-{number:032x}")
        )
    none = candidate(policy_set("acme", 'permit(principal in Role::"x", action, resource);'))
    changes = list(Outcome(history.records, none).changes.values())
    halves = []
    for half in (changes[3:], changes[:3]):
        tally = Tally(looked_at=3)
        for change in half:
            tally.count(change, 2)
        halves.append(tally)
    whole = Tally()
    for tally in halves:
        whole.add(tally, 2)
    ((_, counted),) = whole.groups.items()
    assert (whole.looked_at, whole.changed, counted.count) == (6, 6, 6)
    assert counted.examples == changes[:2]


def test_the_scope_of_what_governs_is_the_tenant_that_is_asked_about() -> None:
    assert {
        scope_of(intent(name, payload={"scope": "acme", "key_id": "k"}))
        for name in GOVERNANCE - {"runtime.activate_policy"}
    } == {"acme"}
