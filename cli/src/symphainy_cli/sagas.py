"""`symphainy saga …`: an execution step by step, and what an operator asks of it, over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live

from symphainy import Asked, Client, Saga
from symphainy_cli.asking import Execution, Reason, ask, object_given
from symphainy_cli.bulk_run import AT_ONCE, Options, ask_all, retrying
from symphainy_cli.connection import Key, Url, gateway
from symphainy_cli.drawing import draw
from symphainy_cli.many import Target, failed_steps
from symphainy_cli.output import Json, out, show_json, show_line
from symphainy_schemas.errors import CallerError
from symphainy_transport.clock import SystemClock

_TICK_S = 1.0  # the shortest time that is worth drawing anew for
app = typer.Typer(
    help="Executions step by step, and what an operator asks of them.", no_args_is_help=True
)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="saga")


@app.command()
def show(
    execution: Execution,
    watch: Annotated[
        bool, typer.Option(help="Follow it to its end; exits 1 if that is no success.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help="Each element of a list that a step is run for, if many, too."),
    ] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Draw an execution's steps: what each needs, its state, why it failed, how it is undone.

    One that is stuck is told with the commands that let it go on. With --watch it is drawn anew
    whenever something happens; with --json too, each time as one line.
    """
    where = gateway(url, key)
    if watch:
        saga = asyncio.run(_follow(where, execution, json, every))
        if not saga.success:
            raise typer.Exit(1)
        return

    async def look() -> Saga:
        async with Client(*where) as client:
            return await client.saga(execution)

    saga = asyncio.run(look())
    show_json(saga.model_dump(mode="json")) if json else _print(saga, every)


@app.command()
def retry(
    execution: Execution,
    step: Annotated[str, typer.Argument(help="As `saga show` names it.", show_default=False)] = "",
    failed: Annotated[
        bool,
        typer.Option(
            "--failed",
            help="Each step that has failed; with a STEP that is run for the elements of a list, "
            "each of those. An attempt that failed is answered by one more, once.",
        ),
    ] = False,
    input: Annotated[
        str | None,
        typer.Option(
            help="What the step gets instead, now and later: JSON object, @file, or - for "
            "standard input.",
            show_default=False,
        ),
    ] = None,
    reason: Reason = "",
    retry_id: Annotated[
        str | None, typer.Option(help="Idempotency key; a repeat tries nothing.")
    ] = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Try a step again that has failed for good, as one attempt beyond those of its policy.

    `compensate:` and a step's name is what undoes that step.
    """
    if failed:
        if input is not None or retry_id is not None:
            raise CallerError(
                "--failed asks for several steps, each with its own input and key.",
                field="--failed",
                cure="Leave out --input and --retry-id, or name one step.",
            )
        _retry_failed(execution, step, reason, (url, key), json)
        return
    if not step:
        raise CallerError(
            "Which step is to be tried again?",
            field="STEP",
            cure="Name it, or state --failed for each that has failed.",
        )
    changed = None if input is None else object_given(input, "--input")

    async def verb(client: Client, execution: str, reason: str) -> Asked:
        return await client.retry_step(execution, step, changed, reason=reason, retry_id=retry_id)

    done = f"step {step} is tried again"
    ask(verb, execution, reason, (url, key), json, done, {"step": step})


@app.command()
def compensate(
    execution: Execution,
    reason: Reason = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Have undone what an execution has done: nothing more begins, and steps are undone in reverse.

    It then is `compensated`; or `failed`, where a step had failed and there is nothing to undo.
    """
    ask(Client.compensate, execution, reason, (url, key), json, "it is asked to be undone")


def _retry_failed(
    execution: str, step: str, reason: str, where: tuple[str, str], json: bool
) -> None:
    async def look() -> list[Target]:
        async with Client(*gateway(*where)) as client:
            return list(failed_steps(await client.execution(execution), step))

    targets = asyncio.run(look())
    if not targets:
        raise CallerError(
            f"Of {execution}, no step {f'{step} ' if step else ''}has failed.",
            code="step_not_failed",
            field="STEP",
            cure=f"Look at it: symphainy saga show {execution}",
        )
    options = Options(dry_run=False, yes=True, at_once=AT_ONCE, where=where, json=json)
    ask_all(retrying(reason), options, targets)


def _print(saga: Saga, every: bool) -> None:
    for part in draw(saga, SystemClock().now_ms(), every=every):
        # Commands are to be copied whole; only the table is folded.
        out.print(part, highlight=False, soft_wrap=not hasattr(part, "columns"))


async def _follow(where: tuple[str, str], execution: str, json: bool, every: bool) -> Saga:
    """Show the saga whenever its execution has a new event, until the last; how it stands then."""
    changed = asyncio.Event()
    live = None if json else Live(console=out, auto_refresh=False)
    async with Client(*where) as client:

        async def listen() -> None:
            async for _ in client.stream(execution):
                changed.set()

        listening = asyncio.create_task(listen())
        listening.add_done_callback(lambda _: changed.set())
        try:
            with live or nullcontext():
                while True:
                    await changed.wait()
                    changed.clear()
                    is_last = listening.done()
                    if is_last:
                        listening.result()  # raises what the stream was refused for
                    saga = await client.saga(execution)
                    await _show_until(changed, saga, live, is_last, every)
                    if is_last:
                        return saga
        finally:
            listening.cancel()


async def _show_until(
    changed: asyncio.Event, saga: Saga, live: Live | None, is_last: bool, every: bool
) -> None:
    """Show the saga; on a screen, its times go on until there is something new."""
    if live is None:
        show_line(saga.model_dump(mode="json"))
        return
    while True:
        live.update(Group(*draw(saga, SystemClock().now_ms(), every=every)), refresh=True)
        if is_last:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await changed.wait()
                return
