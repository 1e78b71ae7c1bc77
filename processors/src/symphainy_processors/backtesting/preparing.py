"""What a backtest is made of: the candidate beside what is in force, and a job a partition.

For whoever asks: the command line, and a gateway on behalf of one who does.
"""

from __future__ import annotations

from collections.abc import Sequence

from symphainy_processors.admission import control, governing
from symphainy_processors.backtesting.in_force import in_force, platform_of, version_of
from symphainy_processors.backtesting.partition import Job
from symphainy_processors.backtesting.range import Span
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.policy.backtest import Candidate
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.recorded import Reads
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PLATFORM, Error, Intent, PolicySet
from symphainy_transport.topics import DAY_MS


def candidate_of(
    settings: RuntimeSettings, configuration: Configuration, scope: str, given: PolicySet | int
) -> tuple[Candidate, list[str]]:
    """The candidate beside what is in force, and what is to be told of that. `given` is a set, or
    the number of one in `config`.

    Raises:
        CallerError: `tenant_not_found` or `policy_not_found`.
        BadPolicy: a text cannot be used.
        OperatorError: `policy_missing`; a version is in force that `config` does not hold.
        Unavailable: Kafka did not answer.
    """
    if scope != PLATFORM and scope not in configuration.tenants:
        raise CallerError(
            f"There is no tenant {scope!r}.",
            code="tenant_not_found",
            field="--tenant",
            cure="See which there are: symphainy doctor; or create it: symphainy key create.",
        )
    chosen = version_of(configuration, scope, given) if isinstance(given, int) else given
    others = [PLATFORM] if scope != PLATFORM else sorted(configuration.tenants)
    found, notes = in_force(settings, configuration, others, range(settings.partitions))
    if scope == PLATFORM:
        candidate = Candidate(scope=scope, platform=chosen, tenants=found)
    else:
        candidate = Candidate(scope=scope, platform=platform_of(found), tenants={scope: chosen})
    Policies(candidate.platform, candidate.tenants.get(scope))  # it can be read at all
    return candidate, notes


def jobs_of(
    settings: RuntimeSettings,
    configuration: Configuration,
    candidate: Candidate,
    spans: Sequence[Span],
    *,
    examples: int,
    lines: bool,
) -> list[Job]:
    """What each partition is asked; see `Job`."""
    tenants = dict(configuration.tenants)
    return [
        Job(
            settings=settings,
            span=span,
            candidate=candidate,
            reads=Reads(target_of, scope_of),
            tenants=tenants,
            examples=examples,
            lines=lines,
            window_ms=int(settings.dedupe_window_days * DAY_MS),
        )
        for span in spans
    ]


def target_of(intent: Intent) -> str | None:
    """The execution of which a control intent asks something, as admission reads it."""
    asked = control.asked_by(intent)
    return None if asked is None else asked.execution_id


def scope_of(intent: Intent) -> str:
    """What an intent that governs would govern, as admission reads it."""
    asked = governing.asked_by(intent)
    return "" if isinstance(asked, Error) else asked.scope
