"""Full replays: the handlers of executions run again, in processes of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import typer

from symphainy.replaying.comparing import Verdict
from symphainy_cli.output import show_json
from symphainy_cli.progress import progress_after_a_second
from symphainy_cli.replay_output import show_full
from symphainy_cli.rerun.pool import Pool
from symphainy_cli.rerun.work import Done, Ground
from symphainy_processors.replay.history import History
from symphainy_processors.replay.recordings import require_ended
from symphainy_processors.replay.sessions import Sessions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError

NOT_EQUAL = 3
"""The exit code where something is not as recorded; 2 is a wrong command line's, 1 an error's."""
PATIENCE_S = 10.0
_WRONG = (Verdict.DIFFERENT, Verdict.FAILED)


def run_full(
    settings: RuntimeSettings,
    found: Sequence[History],
    handlers: Sequence[str],
    scratch: Path | None,
    json: bool,
) -> None:
    """Run ended executions again, and tell of each; exits 3 if one is not as recorded.

    Raises:
        CallerError: one has not ended; the handlers cannot be loaded.
    """
    for one in found:
        require_ended(one)
    with (
        scratch_folder(scratch) as folder,
        Sessions(settings) as sessions,
        Pool(ground(settings, handlers, folder), 1) as pool,
        progress_after_a_second("running again", len(found)) as progress,
    ):
        done = []
        for told in pool.run(sessions.recordings(each) for each in found):
            done.append(told)
            progress(1)
    document = {
        "mode": "full",
        "handlers": list(handlers),
        "executions": [as_json(told) for told in done],
        **{verdict.value: sum(told.verdict is verdict for told in done) for verdict in Verdict},
    }
    show_json(document) if json else show_full(document)
    if any(told.verdict in _WRONG for told in done):
        raise typer.Exit(NOT_EQUAL)


def ended(found: Sequence[History]) -> list[History]:
    """Those that have ended. What a session has under way is left out of its full replay."""
    left = []
    for one in found:
        try:
            require_ended(one)
        except CallerError:
            continue
        left.append(one)
    return left


def ground(settings: RuntimeSettings, handlers: Sequence[str], scratch: Path) -> Ground:
    """On what the processes of a replay work."""
    return Ground(
        handlers=tuple(handlers),
        artifacts_url=settings.artifacts_location(),
        scratch=str(scratch),
        patience_s=PATIENCE_S,
        inline_limit_bytes=settings.inline_limit_bytes,
    )


@contextmanager
def scratch_folder(named: Path | None) -> Iterator[Path]:
    """The folder that is named, or one that is removed in the end.

    Raises:
        CallerError: what is named cannot be one.
    """
    if named is None:
        with tempfile.TemporaryDirectory(prefix="symphainy-replay-") as made:
            yield Path(made)
        return
    try:
        named.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CallerError(
            f"{named} cannot be a folder: {error.strerror}.",
            code="malformed_option",
            field="--scratch",
        ) from error
    yield named


def as_json(one: Done) -> dict[str, Any]:
    """One execution's replay as a document."""
    told: dict[str, Any] = msgspec.to_builtins(one)
    return {"verdict": one.verdict.value, **told}
