"""Decides an intent by the policies in force, stage by stage, and says which of them did.

In each stage the platform's prohibitions hold for everybody. What is permitted there, the tenant's
own policies say, and where it has none, the platform's (docs/policy.md). Nothing is permitted by
nobody; a policy that cannot be evaluated permits nothing and prohibits everything.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import sha256

from symphainy_runtime.policy.facts import MOST_REFERENCES, Facts
from symphainy_runtime.policy.reading import Rule, read_rules, texts
from symphainy_runtime.policy.stages import Answer, Question, StagePolicies
from symphainy_schemas.records import PLATFORM, PolicyDecision, PolicySet, Stage, StageDecision

REMEMBERED = 10_000
"""Parties of intents, and decisions, that are remembered, and then forgotten at once."""


class Policies:
    """The policies that are in force for a tenant's intents."""

    def __init__(self, platform: PolicySet, tenant: PolicySet | None) -> None:
        """`tenant`: its own, if it has any.

        Raises:
            BadPolicy: one of the texts cannot be used.
        """
        self.platform_version = platform.version
        self.tenant_version = 0 if tenant is None else tenant.version
        hashes = platform.sha256 + (b"" if tenant is None else tenant.sha256)
        self.sha256 = sha256(hashes).digest()
        self._stages = [StagePolicies(stage, _in_force(stage, platform, tenant)) for stage in Stage]
        self._asked: dict[Hashable, tuple[Question, Question]] = {}
        self._forgotten = 0
        self._decisions: dict[tuple[Answer, ...], PolicyDecision] = {}

    @property
    def rules(self) -> dict[Stage, tuple[Rule, ...]]:
        """What is in force in each stage."""
        return {policies.stage: policies.rules for policies in self._stages}

    def decide(self, facts: Facts) -> PolicyDecision:
        """What policy says of the intent, up to the first stage that refuses it."""
        guard, manager = self._questions(facts)
        answers: tuple[Answer, ...] = (guard.ask(facts),)
        if answers[0].allowed:
            answers = (answers[0], manager.ask(facts))
            if answers[1].allowed:
                if facts.references:
                    return self._decision((*answers, Answer(_of_all_data(self._stages[2], facts))))
                answers = (*answers, _NO_DATA)
        known = self._decisions.get(answers)
        if known is None:
            if len(self._decisions) >= REMEMBERED:
                self._decisions.clear()
            known = self._decisions[answers] = self._decision(answers)
        return known

    def _questions(self, facts: Facts) -> tuple[Question, Question]:
        """What the Security Guard and the City Manager are asked of those who state this."""
        parties = facts.parties
        known = self._asked.get(parties)
        if known is None:
            guard, manager, _ = self._stages
            known = guard.question(facts, facts.capability), manager.question(facts, facts.tenant)
            forgotten = guard.forgotten + manager.forgotten
            if forgotten != self._forgotten or len(self._asked) >= REMEMBERED:
                self._asked.clear()
                self._forgotten = forgotten
            self._asked[parties] = known
        return known

    def _decision(self, answers: tuple[Answer, ...]) -> PolicyDecision:
        return PolicyDecision(
            platform_version=self.platform_version,
            tenant_version=self.tenant_version,
            sha256=self.sha256,
            stages=tuple([answer.decision for answer in answers]),
        )


_NO_DATA = Answer(StageDecision(Stage.DATA_STEWARD, True, (), ()))


def _of_all_data(steward: StagePolicies, facts: Facts) -> StageDecision:
    """What the Data Steward says of every reference: the first refusal, or who let them pass."""
    references = facts.references
    if len(references) > MOST_REFERENCES:
        reason = f"The payload refers to more than {MOST_REFERENCES} pieces of data."
        return StageDecision(Stage.DATA_STEWARD, False, (), (reason,))
    names: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for reference in references:
        decided = steward.decide(facts, facts.data(reference))
        if not decided.allowed:
            return decided
        names.update(dict.fromkeys(decided.policies))
        reasons.update(dict.fromkeys(decided.reasons))
    return StageDecision(Stage.DATA_STEWARD, True, tuple(names), tuple(reasons))


def _in_force(stage: Stage, platform: PolicySet, tenant: PolicySet | None) -> tuple[Rule, ...]:
    general = read_rules(PLATFORM, stage, texts(platform)[stage])
    own = () if tenant is None else read_rules(tenant.scope, stage, texts(tenant)[stage])
    if not own:
        return general
    return (*(rule for rule in general if rule.forbids), *own)
