"""What the owner of the step does in the model: read, give up, deliver, end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.models.steps import (
    CLOSING,
    RUNNING,
    Bounds,
    Claim,
    GiveUp,
    HandBack,
    Kind,
    Move,
    Reason,
    Report,
    Rules,
    State,
    Status,
    Step,
    Takeover,
)


class OwnerMoves:
    """The owner's part, under some rules."""

    def __init__(self, rules: Rules, bounds: Bounds, watched: frozenset[Claim]) -> None:
        self._rules = rules
        self._bounds = bounds
        self._watched = watched

    def moves(self, state: State) -> Iterator[Move]:
        """Everything but dying."""
        if state.reports:
            yield self._reads(state)
        step = state.step
        if step.status is Status.OPEN and step.reason is Reason.NONE:
            yield from self._finds_due(state)
        if step.reason is not Reason.NONE and not step.marked:
            marker = Report(Kind.MARKER, step.delivery, state.takeovers)
            marked = state._replace(
                step=step._replace(marked=True), reports=(*state.reports, marker)
            )
            yield "the owner writes a marker", marked
        if step.status is Status.FAILED and step.open <= state.spent:
            yield "every other delivery's time is up", self._ends(state)

    def takeover(self, state: State) -> Iterator[Move]:
        """The owner dies, another one restores."""
        if not state.takeovers or state.step.status is not Status.OPEN:
            return
        step = state.step._replace(reason=Reason.NONE, owed=False, marked=False)
        restored = state._replace(step=step, takeovers=state.takeovers - 1)
        if self._rules.takeover is Takeover.RESEND:
            yield f"a new owner sends delivery {step.delivery} again", self._resends(restored)
        elif step.started:
            yield f"a new owner leaves delivery {step.delivery} alone", restored
        else:
            at_once = self._rules.takeover is Takeover.DELIVER_AT_ONCE
            label = f"a new owner doubts that delivery {step.delivery} was sent"
            yield label, self._sets_out(restored, Reason.TAKEOVER, at_once)

    # --- reading --------------------------------------------------------------------------------

    def _reads(self, state: State) -> Move:
        report, behind = state.reports[0], state._replace(reports=state.reports[1:])
        if report.kind is Kind.MARKER:
            ours = report.owner == state.takeovers and state.step.reason is not Reason.NONE
            if self._rules.marker_names_delivery:
                ours = ours and report.delivery == state.step.delivery
            label = f"the owner reads back {'its' if ours else 'an old'} marker"
            return label, self._after_marker(behind) if ours else behind
        label = f"the owner reads the {report.kind.value} of delivery {report.delivery}"
        return label, self._on_report(behind, report)

    def _on_report(self, state: State, report: Report) -> State:
        step = state.step
        if report.kind is Kind.FOUND:
            return self._on_found(state, report)
        if report.kind in CLOSING:
            step = step._replace(open=step.open - {report.delivery})
            state = state._replace(step=step)
        if step.status is Status.FAILED:
            return state if step.open else self._ends(state)
        if step.status is not Status.OPEN:
            return state
        current = report.delivery == step.delivery
        counts = step.attempt_from <= report.delivery <= step.delivery
        match report.kind:
            case Kind.STARTED if current:
                return state._replace(step=step._replace(started=True))
            case Kind.CHECKPOINT if current:
                return state._replace(step=step._replace(started=True, x_recorded=True))
            case Kind.SUCCEEDED if counts:
                return state._replace(step=step._replace(status=Status.SUCCEEDED))
            case Kind.FAILED if counts:
                return self._fails(state)
            case Kind.HANDED_BACK if current:
                return self._delivers(state)
            case _:
                return state

    def _on_found(self, state: State, report: Report) -> State:
        step = state.step
        ends_it = self._rules.hand_back is HandBack.ENDS_IT
        if ends_it:
            step = step._replace(open=step.open - {report.delivery})
            state = state._replace(step=step)
        if step.status is Status.FAILED:
            return state if step.open else self._ends(state)
        if step.status is not Status.OPEN or report.delivery != step.delivery:
            return state
        if step.reason is not Reason.NONE and not ends_it:
            return state  # a marker is on its way already, or will be
        return self._sets_out(state, Reason.FOUND, ends_it)

    # --- giving up ------------------------------------------------------------------------------

    def _finds_due(self, state: State) -> Iterator[Move]:
        step, at_once = state.step, self._rules.give_up is GiveUp.AT_ONCE
        if step.started and step.delivery in state.spent:
            label = f"delivery {step.delivery} is due: its time is up"
            yield label, self._sets_out(state, Reason.TIMEOUT, at_once)
        if not step.started and step.delivery <= state.expired:
            label = f"delivery {step.delivery} is due: nobody reported its start"
            yield label, self._sets_out(state, Reason.START_BY, at_once)

    def _sets_out(self, state: State, reason: Reason, at_once: bool) -> State:
        step = state.step
        unread = {report.kind for report in state.reports if report.delivery == step.delivery}
        counting = {Kind.CHECKPOINT} if step.delivery < self._bounds.deliveries else set()
        if reason is Reason.TIMEOUT:
            counting = {Kind.CHECKPOINT, Kind.SUCCEEDED}
        step = step._replace(reason=reason, owed=bool(unread & counting))
        state = state._replace(step=step)
        return self._gives_up(state) if at_once else state

    def _after_marker(self, state: State) -> State:
        step = state.step
        outdated = step.started and step.reason in (Reason.START_BY, Reason.TAKEOVER)
        if step.status is not Status.OPEN or outdated:
            return state._replace(step=_at_ease(step))
        return self._gives_up(state)

    def _gives_up(self, state: State) -> State:
        step = state.step
        if step.reason is Reason.START_BY and self._rules.start_by_ends:
            state = state._replace(step=step._replace(open=step.open - {step.delivery}))
        if step.owed and not step.x_recorded:
            sentence = f"delivery {step.delivery} is given up; what Kafka had of it is unread"
            state = self._accuse(state, Claim.READS_FIRST, sentence)
        if step.reason is not Reason.TIMEOUT:
            return self._delivers(state)
        if step.delivery == self._bounds.deliveries:
            return self._fails(state)  # the last attempt
        return self._delivers(state, new_attempt=True)

    def _delivers(self, state: State, new_attempt: bool = False) -> State:
        step = state.step
        if step.delivery == self._bounds.deliveries:
            return state._replace(step=step._replace(status=Status.CUT))
        number = step.delivery + 1
        step = _at_ease(step)._replace(
            delivery=number,
            attempt_from=number if new_attempt else step.attempt_from,
            started=False,
            open=step.open | {number},
        )
        reports = tuple(x for x in state.reports if matters(x, step, self._rules))
        tasks = (*state.tasks, (number, step.x_recorded))
        return state._replace(step=step, tasks=tasks, reports=reports)

    def _resends(self, state: State) -> State:
        step = state.step
        sent = state._replace(tasks=(*state.tasks, (step.delivery, False)))
        if not step.x_recorded:
            return sent
        sentence = f"delivery {step.delivery} is sent without X, which is journaled"
        return self._accuse(sent, Claim.CARRIES, sentence)

    # --- ending ---------------------------------------------------------------------------------

    def _fails(self, state: State) -> State:
        step = _at_ease(state.step)._replace(status=Status.FAILED)
        reports = tuple(x for x in state.reports if matters(x, step, self._rules))
        failed = state._replace(step=step, reports=reports)
        return self._ends(failed) if not step.open or not self._rules.end_waits else failed

    def _ends(self, state: State) -> State:
        for job in state.jobs:
            if job.phase in RUNNING and job.delivery not in state.spent:
                sentence = f"the end comes while delivery {job.delivery} runs, within its time"
                state = self._accuse(state, Claim.TIME_TO_END, sentence)
        # Nothing but what may still start matters any more.
        waiting = tuple(job for job in state.jobs if job.phase not in RUNNING)
        step = state.step._replace(status=Status.COMPENSATED)
        return state._replace(step=step, jobs=waiting, reports=(), takeovers=0, moves=0)

    def _accuse(self, state: State, claim: Claim, sentence: str) -> State:
        return state._replace(broken=sentence) if claim in self._watched else state


def matters(report: Report, step: Step, rules: Rules) -> bool:
    """Whether reading the report can change anything; what cannot is left out of the model."""
    if report.kind in CLOSING:
        return True
    if report.kind is Kind.FOUND and rules.hand_back is HandBack.ENDS_IT:
        return True
    if report.kind is Kind.MARKER and not rules.marker_names_delivery:
        return step.status is Status.OPEN
    return step.status is Status.OPEN and report.delivery == step.delivery


def _at_ease(step: Step) -> Step:
    return step._replace(reason=Reason.NONE, owed=False, marked=False)
