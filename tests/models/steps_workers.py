"""What workers and time do in the model of a step."""

from __future__ import annotations

from collections.abc import Iterator

from tests.models.steps import (
    RUNNING,
    Bounds,
    Claim,
    Job,
    Kind,
    Move,
    Phase,
    Report,
    Rules,
    State,
    Status,
    Step,
)
from tests.models.steps_owner import OwnerMoves, matters

WORKERS = (1, 2)
PAUSING = 1


class StepsModel:
    """All that can happen to one step under some rules, within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds, watched: frozenset[Claim]) -> None:
        """Complain of what breaks one of the `watched` claims."""
        self._rules = rules
        self._bounds = bounds
        self._watched = watched
        self._owner = OwnerMoves(rules, bounds, watched)

    def start(self) -> State:
        """The first delivery was sent."""
        b = self._bounds
        return State(Step(), ((1, False),), (), (), 0, frozenset(), b.takeovers, b.pauses, b.moves)

    def successors(self, state: State) -> Iterator[Move]:
        """Every next step, faults included."""
        if state.step.status in (Status.SUCCEEDED, Status.CUT):
            return  # nothing is sent any more, and reports change nothing
        yield from self.calm(state)
        yield from self._owner.takeover(state)
        yield from self._pauses(state)
        yield from self._moves(state)

    def calm(self, state: State) -> Iterator[Move]:
        """Every next step without faults; who is paused stays so."""
        yield from self._owner.moves(state)
        yield from self._time_passes(state)
        for worker in WORKERS:
            if not (state.paused and worker == PAUSING):
                yield from self._works(state, worker)

    # --- time -----------------------------------------------------------------------------------

    def _time_passes(self, state: State) -> Iterator[Move]:
        """Time is what the owner counts with, so later than the workers' by the allowed skew."""
        following = state.expired + 1
        if following <= state.step.delivery and not _holds_up(state, following):
            passed = state._replace(expired=following)
            yield f"start_by of delivery {following} passes", passed
        running = {job.delivery for job in state.jobs if _runs(job)}
        for number in (state.step.open | running) - state.spent:
            if number <= state.expired or number in running:
                spent = state._replace(spent=state.spent | {number})
                yield f"the time of delivery {number} is up", spent

    # --- workers --------------------------------------------------------------------------------

    def _works(self, state: State, worker: int) -> Iterator[Move]:
        if state.tasks and not (worker == PAUSING and _are_alike(state)):
            (number, carries), rest = state.tasks[0], state.tasks[1:]
            jobs = tuple(sorted((*state.jobs, Job(worker, number, carries)), key=_order))
            yield (
                f"worker {worker} fetches delivery {number}",
                state._replace(tasks=rest, jobs=jobs),
            )
        for job in state.jobs:
            if job.worker == worker:
                yield from self._goes_on(state, job)

    def _goes_on(self, state: State, job: Job) -> Iterator[Move]:
        name = f"delivery {job.delivery} at worker {job.worker}"
        match job.phase:
            case Phase.HELD:
                if self._rules.workers_keep_start_by and job.delivery <= state.expired:
                    yield f"{name} is handed back", self._finished(state, job, Kind.HANDED_BACK)
                elif self._rules.skew_covers_pauses:
                    yield f"{name} starts", self._starts(state, job)
                else:
                    yield f"{name} may start", self._advanced(state, job, Phase.LOOKED)
            case Phase.LOOKED:
                yield f"{name} starts", self._starts(state, job)
            case Phase.RUNNING:
                label = f"{name} reports its start"
                yield label, self._advanced(state, job, Phase.ANNOUNCED, Kind.STARTED)
                yield f"{name} fails", self._finished(state, job, Kind.FAILED)
            case Phase.ANNOUNCED if job.carries_x:
                yield f"{name} skips X", self._advanced(state, job, Phase.X_KNOWN)
            case Phase.ANNOUNCED:
                yield f"{name} runs X, Kafka has it", self._runs_x(state, job)
            case Phase.X_KNOWN:
                yield f"{name} succeeds", self._finished(state, job, Kind.SUCCEEDED)

    def _starts(self, state: State, job: Job) -> State:
        started = self._advanced(state, job, Phase.RUNNING)
        if state.step.status is Status.COMPENSATED and Claim.NO_LATE_START in self._watched:
            sentence = f"delivery {job.delivery} starts after the compensation was dispatched"
            return started._replace(broken=sentence)
        return started

    def _runs_x(self, state: State, job: Job) -> State:
        done = self._advanced(state, job, Phase.X_KNOWN, Kind.CHECKPOINT)
        if state.step.x_recorded and Claim.RUNS_ONCE in self._watched:
            sentence = f"delivery {job.delivery} runs X, which is journaled"
            return done._replace(broken=sentence)
        return done

    def _pauses(self, state: State) -> Iterator[Move]:
        if state.paused:
            yield f"worker {PAUSING} wakes up", _alike(state._replace(paused=False))
        elif state.pauses and any(job.worker == PAUSING for job in state.jobs):
            yield (
                f"worker {PAUSING} is paused",
                state._replace(paused=True, pauses=state.pauses - 1),
            )

    def _moves(self, state: State) -> Iterator[Move]:
        """The group gives worker 1's tasks to worker 2, which finds those that are not finished.

        Worker 1 drops what it has not started, if it is awake to learn of it; what runs, runs on.
        """
        mine = [job for job in state.jobs if job.worker == PAUSING]
        if not state.moves or not mine:
            return
        kept = tuple(job for job in state.jobs if job not in mine or state.paused or _runs(job))
        found = tuple(Report(Kind.FOUND, job.delivery) for job in mine)
        moved = self._reported(state._replace(moves=state.moves - 1, jobs=kept), *found)
        numbers = ", ".join(str(job.delivery) for job in mine)
        yield f"worker 2 takes over worker 1's tasks, hands back delivery {numbers}", _alike(moved)

    def _advanced(self, state: State, job: Job, phase: Phase, *kinds: Kind) -> State:
        at = state.jobs.index(job)
        jobs = (*state.jobs[:at], job._replace(phase=phase), *state.jobs[at + 1 :])
        reports = [Report(kind, job.delivery) for kind in kinds]
        return self._reported(state._replace(jobs=jobs), *reports)

    def _finished(self, state: State, job: Job, kind: Kind) -> State:
        at = state.jobs.index(job)
        jobs = state.jobs[:at] + state.jobs[at + 1 :]
        return self._reported(state._replace(jobs=jobs), Report(kind, job.delivery))

    def _reported(self, state: State, *reports: Report) -> State:
        kept = tuple(x for x in reports if matters(x, state.step, self._rules))
        return state._replace(reports=(*state.reports, *kept)) if kept else state


def broken(state: State) -> str | None:
    """Which claim does not hold, if one does not."""
    return state.broken or None


def ended(state: State) -> bool:
    """Whether the step has come to an end, if only to that of the model."""
    return state.step.status in (Status.SUCCEEDED, Status.COMPENSATED, Status.CUT)


def _are_alike(state: State) -> bool:
    """Whether nothing can befall worker 1 any more that cannot befall worker 2."""
    return not (state.paused or state.pauses or state.moves)


def _alike(state: State) -> State:
    if not _are_alike(state):
        return state
    jobs = sorted((job._replace(worker=WORKERS[-1]) for job in state.jobs), key=_order)
    return state._replace(jobs=tuple(jobs))


def _holds_up(state: State, number: int) -> bool:
    """Who runs has announced itself before that, and who has looked has started; if awake."""
    return any(
        job.delivery == number
        and job.phase in (Phase.LOOKED, Phase.RUNNING)
        and not (state.paused and job.worker == PAUSING)
        for job in state.jobs
    )


def _runs(job: Job) -> bool:
    return job.phase in RUNNING


def _order(job: Job) -> tuple[int, int, int]:
    return job.worker, job.delivery, job.phase.value
