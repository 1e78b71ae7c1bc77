"""What `symphainy policy backtest` is told: a folder of policies, times, partitions."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from symphainy_cli.connection import dev_file
from symphainy_runtime.policy.reading import digest_of, read_rules
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PolicySet, Stage

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def candidate_set(folder: Path | None, version: int, scope: str) -> PolicySet | None:
    """The candidate that the folder holds; None where a version is named instead.

    Raises:
        CallerError: neither or both are given, or the folder holds no policies.
        BadPolicy: a text cannot be used.
    """
    if (folder is None) == (version == 0):
        raise CallerError(
            "A candidate is a folder, or a version in config.",
            code="no_candidate",
            field="FOLDER",
            cure="State either a folder or --version.",
        )
    if folder is None:
        return None
    texts = {stage: _text(folder / f"{stage}.cedar") for stage in Stage}
    if all(text is None for text in texts.values()):
        raise CallerError(
            f"{folder} holds no policies.",
            code="no_candidate",
            field="FOLDER",
            cure=f"It must hold one of {', '.join(f'{stage}.cedar' for stage in Stage)}.",
        )
    for stage, text in texts.items():
        read_rules(scope, stage, text or "")
    guard, manager, steward = (texts[stage] or "" for stage in Stage)
    return PolicySet(
        scope=scope,
        version=0,
        sha256=digest_of(guard, manager, steward),
        security_guard=guard,
        city_manager=manager,
        data_steward=steward,
        note="candidate",
        created_at=0,
        created_by="",
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(
            f"{path} cannot be read: {error}.", code="no_candidate", field="FOLDER"
        ) from error


def moment(option: str, told: str, now: int) -> int:
    """A time in ms since the epoch: so long ago, or ISO 8601 (without an offset, UTC).

    Raises:
        CallerError: it is neither.
    """
    ago = _AGO.fullmatch(told)
    if ago is not None:
        return max(0, now - int(ago[1]) * _UNIT_MS[ago[2]])
    try:
        at = datetime.fromisoformat(told)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0, int(at.timestamp() * 1_000))
    except (ValueError, OverflowError) as error:
        raise CallerError(
            f"{told!r} is no time.",
            code="malformed_option",
            field=option,
            cure="Use 30m, 12h, 7d, or ISO 8601: 2026-05-01T12:00:00Z.",
        ) from error


def partitions_of(partition: int | None, count: int) -> tuple[int, ...]:
    """All partitions, or the one that is named.

    Raises:
        CallerError: there is none of that number.
    """
    if partition is None:
        return tuple(range(count))
    if not 0 <= partition < count:
        raise CallerError(
            f"There is no partition {partition}.",
            code="malformed_option",
            field="--partition",
            cure=f"They are 0 to {count - 1}.",
        )
    return (partition,)


def gateway_url(url: str) -> str:
    """Where links point to: what is told, else the gateway of a running `symphainy dev`, or ""."""
    if url:
        return url.rstrip("/")
    running = dev_file(RuntimeSettings.load().data_dir)
    return running.url.rstrip("/") if running is not None and running.alive else ""
