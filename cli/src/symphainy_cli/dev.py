"""`symphainy dev` and `symphainy demo`: the whole system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symphainy_cli.connection import DevFile, dev_file, kafka_settings
from symphainy_cli.demo import run_demo
from symphainy_cli.output import err, out
from symphainy_cli.showing import shown
from symphainy_cli.stack import DevStack
from symphainy_runtime.local import graceful_signals
from symphainy_runtime.settings import RuntimeSettings

EXAMPLE_REALM = "examples.content_realm:realm"
Realms = Annotated[
    list[str] | None,
    typer.Option("--realm", help="module:realm to run a worker for; repeatable."),
]
Load = Annotated[int, typer.Option(help="Further intents of the demo, submitted at once.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(dev)
    app.command()(demo)


def dev(
    realm: Realms = None,
    demo_: Annotated[
        bool, typer.Option("--demo", help="Submit the demo's intents after the start.")
    ] = False,
    load: Load = 200,
) -> None:
    """Start the whole system on this machine and keep it running until Ctrl-C."""
    stack = DevStack(RuntimeSettings.load(), realm or _example(), _say)
    with graceful_signals(stack.stop) as signals:
        running = stack.start()
        _welcome(running)
        if demo_:
            run_demo(running, stack.settings, load)
        out.print("running; Ctrl-C stops everything")
        while not signals.wait(0.5):
            if stack.broken.is_set():
                err.print("[red]stopping[/]: a part of the system is gone for good")
                raise typer.Exit(1)


def demo(load: Load = 200) -> None:
    """Start the system (or use a running one), run real intents, show what happened, stop."""
    settings = RuntimeSettings.load()
    running = dev_file(settings.data_dir)
    if running is not None and running.alive:
        _say(f"using the system that runs in {settings.data_dir}")
        ok = run_demo(running, kafka_settings(), load)
    else:
        stack = DevStack(settings, _example(), _say)
        with graceful_signals(stack.stop):
            running = stack.start()
            _welcome(running)
            ok = run_demo(running, stack.settings, load)
    if not ok:
        raise typer.Exit(1)


def _example() -> list[str]:
    """The example realm, where its sources are at hand."""
    return [EXAMPLE_REALM] if Path("examples/content_realm").is_dir() else []


def _say(text: str) -> None:
    err.print(text, highlight=False, markup=False)


def _welcome(running: DevFile) -> None:
    out.print()
    for name, value in (
        ("gateway", f"{running.url}  (OpenAPI: {running.url}/openapi.json)"),
        ("api key", running.key),
        ("tenant", running.tenant),
        ("kafka", running.bootstrap_servers),
        ("redis", shown(running.redis_url)),
    ):
        out.print(f"  [bold]{name:8}[/] {value}", highlight=False, soft_wrap=True)
    out.print()
