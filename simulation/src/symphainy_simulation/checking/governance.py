"""G3 and G9: what governs is a function of the write-ahead log, and decides each intent once.

Which policies are in force where an intent stands, who is suspended and which keys are revoked is
worked out here from the control intents before it that were accepted, not by the product's fold;
and the decision of policy is made anew (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_runtime.policy.actions import EXPIRE_SESSION, GOVERNANCE
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_schemas import events as e
from symphainy_schemas.records import PLATFORM, Intent, PolicyDecision
from symphainy_simulation.checking.inforce import InForce, asked_of, expected
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Told
from symphainy_simulation.checking.verdicts import Question, Verdict, can_be_judged, verdicts
from symphainy_simulation.checking.violation import Violation
from symphainy_transport.topics import INTENTS

G, APART = "G3", "G9"
BEFORE_POLICY = frozenset(
    {
        "intent_id_malformed",
        "intent_type_malformed",
        "priority_malformed",
        "realm_mismatch",
        "tenant_not_found",
        "session_required",
        "session_not_found",
        "session_closed",
        "session_expired",
        "wrong_partition",
        "payload_malformed",
        "metadata_malformed",
        "solution_context_malformed",
        "parent_ended",
    }
)
"""What an intent is refused for whatever policy would say."""
REVOKED, SUSPENDED, DENIED = "credential_revoked", "tenant_suspended", "policy_denied"


def check(book: Book) -> Iterator[Violation]:
    """Every decision of an intent, and everything that was dispatched."""
    found: dict[int, InForce] = {}
    for logs, _ in book.partitions():
        found[logs.partition] = one = InForce(logs.before.states.values())
        for entry in logs.valid:
            yield from _while_suspended(entry, one)
            intent = _decided(logs, entry)
            if intent is not None:
                yield from _Decision(book, entry, intent, one).judged()
                yield from _folded(entry, intent, one)
            elif entry.applies:
                yield from _applied(logs, entry)
    for _, life in book.all_lives():
        yield from _once(life.execution_id, life.told)
    yield from _in_tasks(book)
    if book.history.quiet and len(found) == book.history.partitions:
        yield from _same_everywhere(found)


def _decided(logs: PartitionLogs, entry: Entry) -> Intent | None:
    """The intent of which a record is the decision, if it was not decided before."""
    cause = entry.record.cause
    if cause is None or cause.topic != INTENTS or entry.applies or entry.follows:
        return None
    if not any(isinstance(event, e.IntentReceived) for event in entry.record.events):
        return None
    found = logs.intents.get(cause.offset)
    return None if found is None else found.record


def code_of(entry: Entry) -> str:
    """Why the intent was rejected; empty if it was not."""
    rejected = (x for x in entry.record.events if isinstance(x, e.IntentRejected))
    return next((event.error.code for event in rejected), "")


def _validated(entry: Entry) -> list[PolicyDecision]:
    events = entry.record.events
    return [event.decision for event in events if isinstance(event, e.PolicyValidated)]


# --- G9: who is suspended -----------------------------------------------------------------------


def _while_suspended(entry: Entry, known: InForce) -> Iterator[Violation]:
    record = entry.record
    if record.tenant_id not in known.suspended:
        return
    if any(isinstance(event, e.StepDispatched) for event in record.events):
        sentence = f"{record.execution_id} was dispatched although {record.tenant_id} is suspended"
        yield Violation(APART, sentence, (entry.place,))
    started = any(isinstance(event, e.ExecutionStarted) for event in record.events)
    if started and not any(_counts_even_so(event) for event in record.events):
        sentence = f"{record.execution_id} was started although {record.tenant_id} is suspended"
        yield Violation(APART, sentence, (entry.place,))


def _counts_even_so(event: e.Event) -> bool:
    """Whether what is received there is taken of a suspended tenant. That somebody awaits it is
    judged elsewhere (`children`)."""
    if not isinstance(event, e.IntentReceived):
        return False
    return PLATFORM_OPERATOR in event.roles or bool(event.awaited_by)


# --- G3: one decision ---------------------------------------------------------------------------


class _Decision:
    """The record that decides one intent, beside what is in force where the intent stands."""

    def __init__(self, book: Book, entry: Entry, intent: Intent, known: InForce) -> None:
        self._history = book.history
        self._entry, self._intent, self._known = entry, intent, known
        self._code, self._found = code_of(entry), _validated(entry)

    def judged(self) -> Iterator[Violation]:
        standing = self._standing()
        if standing:
            if self._code != standing and (self._code not in BEFORE_POLICY or self._found):
                yield self._wrong(APART, f"is to be refused ({standing}); it was not")
            return
        if self._code in (REVOKED, SUSPENDED):
            yield self._wrong(APART, f"was refused ({self._code}); that is not so here")
        elif not self._found:
            unasked = self._intent.intent_type == EXPIRE_SESSION
            if self._code not in BEFORE_POLICY and not unasked:
                yield self._wrong(G, "has no decision of policy")
        elif len(self._found) == 1:  # else see `_once`
            yield from self._decision(self._found[0])

    @property
    def _of_platform(self) -> bool:
        """Whether the platform's policies alone decide it."""
        intent = self._intent
        return intent.intent_type in GOVERNANCE or intent.tenant_id == PLATFORM

    def _standing(self) -> str:
        intent, known = self._intent, self._known
        if intent.credential and (intent.tenant_id, intent.credential) in known.revoked:
            return REVOKED
        suspended = intent.tenant_id in known.suspended
        counts = any(_counts_even_so(event) for event in self._entry.record.events)
        return SUSPENDED if suspended and not counts else ""

    def _decision(self, decision: PolicyDecision) -> Iterator[Violation]:
        intent, known = self._intent, self._known
        governs = intent.intent_type in GOVERNANCE
        platform = known.of(PLATFORM)
        tenant = None if self._of_platform else known.of(intent.tenant_id)
        told = (decision.platform_version, decision.tenant_version, decision.sha256)
        if told != known.named(platform, tenant):
            in_force = platform.version, 0 if tenant is None else tenant.version
            yield self._wrong(G, f"was decided under versions {told[:2]}; in force are {in_force}")
            return
        yield from self._apart(decision)
        yield from self._as_asked_anew(decision)
        if decision.allowed is (self._code == DENIED):
            yield self._wrong(G, f"was {self._code or 'accepted'} against its decision of policy")
        elif governs and decision.allowed:
            yield from self._governs()

    def _apart(self, decision: PolicyDecision) -> Iterator[Violation]:
        scopes = (f"{PLATFORM}/", f"{self._intent.tenant_id}/")
        for stage in decision.stages:
            if not all(name.startswith(scopes) for name in stage.policies):
                yield self._wrong(APART, f"was decided by others' policies: {stage.policies}")

    def _as_asked_anew(self, decision: PolicyDecision) -> Iterator[Violation]:
        history, intent, known = self._history, self._intent, self._known
        platform = known.text(PLATFORM, history.policies)
        tenant, none = None, not decision.tenant_version
        if not none:
            tenant = known.text(intent.tenant_id, history.policies)
        if platform is None or (tenant is None and not none):
            yield self._wrong(G, "was decided under policies that the checker does not know")
            return
        if not can_be_judged(platform, tenant):
            yield self._wrong(G, "was decided by what an intent alone does not tell")
            return
        scope = asked_of(intent).scope if intent.intent_type in GOVERNANCE else ""
        question = Question(intent, scope or intent.tenant_id, self._entry.record.at)
        anew = list(verdicts(question, platform, tenant))
        told = [Verdict.recorded(stage) for stage in decision.stages]
        fits = len(anew) == len(told) and all(t in a for t, a in zip(told, anew, strict=True))
        if not fits:
            yield self._wrong(G, f"was decided {told}; asked anew it is {[list(a) for a in anew]}")

    def _governs(self) -> Iterator[Violation]:
        """What comes of a control intent that policy lets pass."""
        wanted = expected(self._intent, self._entry.place.partition, self._known, self._history)
        late = self._history.config_late and self._code == "policy_not_found"
        if self._code not in wanted and not late:
            yield self._wrong(G, f"came to {self._code or 'be accepted'}; {wanted} is right")

    def _wrong(self, guarantee: str, what: str) -> Violation:
        record = self._entry.record
        sentence = f"{record.execution_id} ({self._intent.intent_type}) {what}"
        return Violation(guarantee, sentence, (self._entry.place,))


def _folded(entry: Entry, intent: Intent, known: InForce) -> Iterator[Violation]:
    """What an accepted control intent puts in force, and whether the journal says so."""
    told = [type(x) for x in entry.record.events if isinstance(x, _GOVERNS)]
    accepted = any(isinstance(x, e.ExecutionSucceeded) for x in entry.record.events)
    changed = False
    if accepted and intent.intent_type in GOVERNANCE:
        if known.lowers(intent):
            sentence = f"a lower version of the policies of {asked_of(intent).scope} was adopted"
            yield Violation(G, sentence, (entry.place,))
        changed = known.take(intent)
    if len(told) != changed:
        sentence = f"{entry.record.execution_id} tells {told} of what it changes"
        yield Violation(G, sentence, (entry.place,))


_GOVERNS = (e.PolicyActivated, e.TenantSuspended, e.TenantResumed, e.KeyRevoked)


def _applied(logs: PartitionLogs, entry: Entry) -> Iterator[Violation]:
    """What a control intent asks is not done although it is refused here."""
    cause = entry.record.cause
    decision = None if cause is None else logs.decided.get((INTENTS, cause.offset))
    if decision is not None and code_of(decision) in (REVOKED, SUSPENDED, DENIED):
        sentence = f"{entry.record.execution_id} did what was refused"
        yield Violation(G, sentence, (entry.place, decision.place))


def _once(execution_id: str, told: list[Told]) -> Iterator[Violation]:
    """Decided once, in the record that starts it."""
    decided = [t for t in told if isinstance(t.event, e.PolicyValidated)]
    if len(decided) > 1:
        places = tuple(t.entry.place for t in decided)
        yield Violation(G, f"{execution_id}: policy decided {len(decided)} times", places)
    begun = (e.ExecutionStarted, e.StepReady, e.StepDispatched)
    first = next((t for t in told if isinstance(t.event, begun)), None)
    if first is not None and (not decided or decided[0].entry.offset > first.entry.offset):
        sentence = f"{execution_id} was started before policy had decided"
        yield Violation(G, sentence, (first.entry.place,))


def _in_tasks(book: Book) -> Iterator[Violation]:
    """What a worker is told of the decision is what was recorded."""
    for place, _, task in book.logs.tasks:
        if task is None:
            continue
        for one in book.dispatched_at.get((task.partition, task.dispatched_at), ()):
            decided = (x.event.decision for x in one.life.told if isinstance(x.event, _VALIDATED))
            if one.life.carried is None and next(decided, None) != task.policy:
                sentence = f"a task of {task.execution_id} tells another decision of policy"
                yield Violation(G, sentence, (place, one.entry.place))


_VALIDATED = e.PolicyValidated


def _same_everywhere(found: dict[int, InForce]) -> Iterator[Violation]:
    """A version that was put in force on every partition is, or a higher one has taken its place;
    and where nobody has gone further, it is the same everywhere."""
    scopes = sorted({scope for one in found.values() for scope in one.versions})
    for scope in scopes:
        complete = set.intersection(*(one.accepted.get(scope, set()) for one in found.values()))
        highest = max(complete, default=None)
        if highest is None:
            continue
        now = {p: one.of(scope) for p, one in found.items()}
        if any(one.version < highest.version for one in now.values()) or (
            max(now.values()) == highest and len(set(now.values())) > 1
        ):
            versions = {p: one.version for p, one in now.items()}
            sentence = f"the policies of {scope} are {versions} by partition; {highest.version} was"
            yield Violation(G, f"{sentence} put in force on each")
