"""`symphainy topics …`: create and check what Kafka must hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, out, show_json, show_table
from symphainy_runtime.cluster import Cluster, Finding
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_transport.topics import Topics

app = typer.Typer(help="Kafka's topics.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="topics")


@app.command()
def create(
    set_: Annotated[
        list[str], typer.Option("--set", help="A further topic setting, name=value; repeatable.")
    ] = [],  # noqa: B006  (typer reads the default, nobody changes it)
    realm: Annotated[
        list[str],
        typer.Option(help="Also a realm's task topic (else its worker makes it); repeatable."),
    ] = [],  # noqa: B006  (as above)
    json: Json = False,
) -> None:
    """Create the topics that are missing, with the settings that the guarantees need."""
    settings = RuntimeSettings.load()
    topics = Topics(settings.topic_prefix)
    specs = [
        *topics.specs(settings.partitions),
        *(topics.realm_spec(name, settings.partitions) for name in realm),
    ]
    created = Cluster(settings).create(specs, extra=dict(_pair(text) for text in set_))
    if json:
        show_json({"created": created})
    else:
        out.print(f"created: {', '.join(created)}" if created else "all topics are there")


@app.command()
def check(json: Json = False) -> None:
    """Say what breaks or limits a guarantee, with its fix. Exits 1 if something breaks one."""
    findings = Cluster(kafka_settings()).check()
    if json:
        show_json(as_json(findings))
    elif findings:
        show_findings(findings)
    else:
        out.print("the cluster is as it must be")
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)


def as_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """The findings for programs."""
    return [{name: getattr(found, name) for name in found.__slots__} for found in findings]


def show_findings(findings: Sequence[Finding]) -> None:
    """The findings for people."""
    show_table(
        ("", "topic", "setting", "wanted", "value", "fix"),
        [
            ("BREAKS" if f.fatal else "limits", f.topic, f.setting, f.expected, f.actual, f.fix)
            for f in findings
        ],
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CallerError(f"--set {text!r} is not name=value.", code="malformed_option")
    return name, value
