"""What a candidate would have decided, beside what was decided: compared, counted, with examples.

Pure. Figures of several partitions are added up by `Tally.add`; nothing here knows a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_runtime.policy.asked import WHOLE, asked_of
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.reading import read_rules, texts
from symphainy_runtime.policy.recorded import Judged, Memory, Reads, RecordedFacts
from symphainy_schemas.records import PLATFORM, PolicyDecision, PolicySet, StageDecision, Tenant

RECORDED, ASSUMED = "recorded", "allowed_as_it_ran"
"""What a candidate's decision is compared with: a record, or that an older intent was let pass."""
ALLOW_DENY, DENY_ALLOW, OTHER_STAGE = "allow→deny", "deny→allow", "other stage"
MOST_GROUPS = 10_000
"""Groups that are told apart; further changes are counted in one without rules."""
_MANY = ("…",)


class Candidate(Struct, frozen=True, kw_only=True):
    """The policy set on trial, and what is in force beside it.

    `scope` is a tenant or the platform. Of a tenant's candidate, `platform` is the platform's set;
    of the platform's, it is the candidate itself, and `tenants` has every tenant's own.
    """

    scope: str
    platform: PolicySet
    tenants: Mapping[str, PolicySet]

    def judges(self, tenant_id: str, intent_type: str) -> bool:
        """Whether the candidate has a say in intents like that."""
        if self.scope == PLATFORM:
            return True
        return tenant_id == self.scope and intent_type not in GOVERNANCE

    def asks(self, *members: str) -> tuple[bool, ...]:
        """Of each of these members of the context, whether any rule asks for it.

        Raises:
            BadPolicy: a text cannot be used.
        """
        sets = (self.platform, *self.tenants.values())
        trees = [
            rule.tree
            for one in sets
            for stage, text in texts(one).items()
            for rule in read_rules(one.scope, stage, text)
        ]
        asked = asked_of(trees).members["context"]
        return tuple(asked is WHOLE or member in asked for member in members)

    def policies(self, tenant_id: str, intent_type: str) -> Policies:
        """What would decide such an intent, prepared anew: keep it.

        Raises:
            BadPolicy: a text cannot be used.
        """
        governs = intent_type in GOVERNANCE or tenant_id == PLATFORM
        return Policies(self.platform, None if governs else self.tenants.get(tenant_id))


class Group(Struct, frozen=True, gc=False, order=True):
    """Changes of one kind. Of each decision: the rules that determined it, or why there is none."""

    tenant_id: str
    intent_type: str
    transition: str
    baseline: str
    recorded: tuple[str, ...]
    candidate: tuple[str, ...]


class Change(Struct, frozen=True, gc=False, kw_only=True):
    """One decision that would be another, with its places in journal and write-ahead log."""

    group: Group
    execution_id: str
    session_id: str
    intent_id: str
    principal: str
    at: int
    partition: int
    offset: int
    intents_offset: int
    recorded: PolicyDecision | None
    candidate: PolicyDecision


class Counted(Struct):
    """How many changes a group holds, and the first of them."""

    count: int = 0
    examples: list[Change] = field(default_factory=list)


class Tally(Struct, kw_only=True):
    """What was found. Each intent of the range that the candidate judges is `looked_at`, and of
    those each is unchanged, changed, or undetermined; `assumed` of them are older than policies on
    record. `refused` ones were refused before policy was asked."""

    looked_at: int = 0
    unchanged: int = 0
    undetermined: int = 0
    assumed: int = 0
    refused: int = 0
    groups: dict[Group, Counted] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """How many decisions would be others."""
        return sum(counted.count for counted in self.groups.values())

    def count(self, change: Change, examples: int) -> None:
        """Count a change, and keep it as an example if its group has fewer."""
        self._of(change.group).count += 1
        kept = self._of(change.group).examples
        if len(kept) < examples:
            kept.append(change)

    def add(self, other: Tally, examples: int) -> None:
        """Add what was found elsewhere."""
        for name in ("looked_at", "unchanged", "undetermined", "assumed", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for group, counted in other.groups.items():
            mine = self._of(group)
            mine.count += counted.count
            mine.examples = sorted(
                [*mine.examples, *counted.examples], key=lambda one: (one.at, one.execution_id)
            )[:examples]

    def _of(self, group: Group) -> Counted:
        found = self.groups.get(group)
        if found is None:
            if len(self.groups) >= MOST_GROUPS:
                group = Group(
                    group.tenant_id,
                    group.intent_type,
                    group.transition,
                    group.baseline,
                    _MANY,
                    _MANY,
                )
            found = self.groups.setdefault(group, Counted())
        return found


class Prepared:
    """A candidate's policies, and what they have answered: for all partitions of a process."""

    def __init__(self, candidate: Candidate) -> None:
        """Policies are prepared when they are asked for.

        Raises:
            BadPolicy: a text cannot be used.
        """
        self._candidate = candidate
        self._known: dict[tuple[str, bool], Policies] = {}
        self.sessions, self.targets = candidate.asks("session", "target")
        """Whether any rule asks for the session; and for the target."""

    def policies(self, tenant_id: str, intent_type: str) -> Policies:
        """What decides such an intent.

        Raises:
            BadPolicy: a text cannot be used.
        """
        key = tenant_id, intent_type in GOVERNANCE
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._candidate.policies(tenant_id, intent_type)
        return known


class Comparing:
    """Decides recorded intents of one partition by a candidate."""

    def __init__(
        self,
        partition: int,
        prepared: Prepared,
        memory: Memory,
        reads: Reads,
        tenant: Callable[[str], Tenant | None],
    ) -> None:
        """`tenant` answers what `config` holds of a tenant."""
        self._partition = partition
        self._prepared = prepared
        self._memory, self._reads, self._tenant = memory, reads, tenant

    def compare(self, judged: Judged) -> Change | None:
        """The change of one intent that the candidate judges; None if there is none.

        Raises:
            Unknown: the candidate asks for what may stand before what was read.
            BadPolicy: a text cannot be used.
        """
        intent = judged.intent
        facts = RecordedFacts(judged, self._memory, self._reads, self._tenant)
        decided = self._prepared.policies(intent.tenant_id, intent.intent_type).decide(facts)
        transition = _transition(judged.decision, decided)
        if transition is None:
            return None
        group = Group(
            intent.tenant_id,
            intent.intent_type,
            transition,
            ASSUMED if judged.decision is None else RECORDED,
            () if judged.decision is None else determining(judged.decision),
            determining(decided),
        )
        return Change(
            group=group,
            execution_id=judged.execution_id,
            session_id=intent.session_id,
            intent_id=intent.intent_id,
            principal=intent.principal,
            at=judged.at,
            partition=self._partition,
            offset=judged.offset,
            intents_offset=judged.intents_offset,
            recorded=judged.decision,
            candidate=decided,
        )


def refusing(decision: PolicyDecision) -> StageDecision | None:
    """The stage that refused; None if all let it pass."""
    for stage in decision.stages:  # next() of a generator takes three times as long
        if not stage.allowed:
            return stage
    return None


def determining(decision: PolicyDecision) -> tuple[str, ...]:
    """The rules by which it came out so: those that let it pass, or those that forbade it; where
    no rule did, the reason."""
    refused = refusing(decision)
    if refused is None:
        return tuple(name for stage in decision.stages for name in stage.policies)
    return refused.policies or refused.reasons


def _transition(recorded: PolicyDecision | None, decided: PolicyDecision) -> str | None:
    before = None if recorded is None else refusing(recorded)
    after = refusing(decided)
    if before is None:
        return None if after is None else ALLOW_DENY
    if after is None:
        return DENY_ALLOW
    return None if before.stage == after.stage else OTHER_STAGE


def as_json(change: Change) -> dict[str, Any]:
    """A change for programs."""
    group = change.group
    return {
        "execution_id": change.execution_id,
        "tenant_id": group.tenant_id,
        "session_id": change.session_id,
        "intent_id": change.intent_id,
        "intent_type": group.intent_type,
        "principal": change.principal,
        "at": change.at,
        "partition": change.partition,
        "journal_offset": change.offset,
        "intents_offset": change.intents_offset,
        "transition": group.transition,
        "baseline": group.baseline,
        "recorded": None if change.recorded is None else _decision(change.recorded),
        "candidate": _decision(change.candidate),
    }


def _decision(decision: PolicyDecision) -> dict[str, Any]:
    refused = refusing(decision)
    return {
        "allowed": refused is None,
        "stage": "" if refused is None else refused.stage,
        "rules": list(determining(decision)),
        "platform_version": decision.platform_version,
        "tenant_version": decision.tenant_version,
    }
