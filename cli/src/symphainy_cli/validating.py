"""`symphainy executions validate`: whether what is recorded of an execution is in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import typer
from redis.asyncio import Redis
from rich.markup import escape

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import out, show_json
from symphainy_cli.progress import progress_after_a_second
from symphainy_cli.replays import history_of
from symphainy_cli.validation_page import page
from symphainy_processors.replay.history import At
from symphainy_processors.replay.report import Shown, Validator
from symphainy_runtime.configuration import read_configuration
from symphainy_runtime.read_model.reader import ReadModel
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.clock import SystemClock

_MARKS = {"passed": "[green]passed[/]", "failed": "[red]failed[/]", "unknown": "[yellow]unknown[/]"}


def run(execution: str, html: Path | None, json: bool) -> None:
    """Validate, and tell of it.

    Raises:
        CallerError: there is no such execution, it is no longer kept, or it has not ended.
        Unavailable: Kafka did not answer.
    """
    settings = kafka_settings()
    found = history_of(settings, execution, At())
    tenant_id = found.records[0].record.tenant_id
    validator = Validator(settings)
    try:
        with progress_after_a_second("validating", found.last - found.first + 1):
            configuration = read_configuration(settings, "symphainy-validate")
            shown = asyncio.run(_shown(settings, tenant_id, execution))
            report = validator.report(found, configuration, shown, SystemClock().now_ms())
    finally:
        validator.close()
    if html is not None:
        _write(html, report)
    show_json(report) if json else _show(report)
    if not report["valid"]:
        raise typer.Exit(1)


async def _shown(settings: RuntimeSettings, tenant_id: str, execution_id: str) -> Shown:
    if not settings.redis_url:
        return Shown()
    client: Redis = Redis.from_url(settings.redis_url)
    reader = ReadModel(client, settings.redis_prefix, settings.partitions)
    try:
        document = await reader.execution(tenant_id, execution_id)
        return Shown(document, await reader.events(tenant_id, execution_id))
    except Unavailable:
        return Shown()
    finally:
        await client.aclose()


def _write(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{path} could not be written: {error.strerror}.",
            code="report_not_written",
            field="--html",
            cure="Name a file in a folder that is there.",
        ) from error


def _show(report: dict[str, Any]) -> None:
    out.print(f"[bold]{report['execution_id']}[/]", highlight=False)
    for check in report["checks"]:
        told = f"{_MARKS[check['standing']]} {check['name']}: {escape(check['looked_at'])}"
        out.print(told, highlight=False, soft_wrap=True)
        for fault in check["faults"]:
            out.print(f"  [red]fault[/] {escape(fault)}", highlight=False, soft_wrap=True)
        for one in check["unknown"]:
            out.print(f"  [yellow]unknown[/] {escape(one)}", highlight=False, soft_wrap=True)
    whole = "" if report["complete"] else ", as far as it can be told"
    verdict = "in order" if report["valid"] else "NOT in order"
    out.print(f"{verdict}{whole}", highlight=False)
