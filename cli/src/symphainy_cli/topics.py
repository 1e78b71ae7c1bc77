"""`symphainy topics …`: create and check what Kafka must hold."""

from __future__ import annotations

from typing import Annotated

import typer

from symphainy_cli.output import Json, out, show_json, show_table
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError

app = typer.Typer(help="Kafka's topics.", no_args_is_help=True)


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
    from symphainy_runtime.cluster import Cluster
    from symphainy_transport.topics import Topics

    settings = RuntimeSettings()
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
    from symphainy_runtime.cluster import Cluster

    findings = Cluster(RuntimeSettings()).check()
    if json:
        show_json([{name: getattr(f, name) for name in f.__slots__} for f in findings])
    elif findings:
        show_table(
            ("", "topic", "setting", "expected", "actual", "fix"),
            [
                ("BREAKS" if f.fatal else "limits", f.topic, f.setting, f.expected, f.actual, f.fix)
                for f in findings
            ],
        )
    else:
        out.print("every topic is as it must be")
    if any(f.fatal for f in findings):
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CallerError(f"--set {text!r} is not name=value.", code="malformed_option")
    return name, value
