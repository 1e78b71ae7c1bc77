"""What users' type checkers make of the SDK, under `mypy --strict` and pyright's strict mode.

- What is right passes, with the types that `positive.py` and the examples say.
- What is wrong is caught: each line of `negative.py`, and under the names that it says. An ignore
  that a checker does not need is an error, so a wrong line that passes is one.
- A checker that would find nothing is found out by a file of which two lines must be complained of.

Each checker runs once, as users run it: without our configuration, and without pydantic's plugin.
On a free core mypy takes 9 s, 2 s with its cache, and pyright 7 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = (
    HERE / "positive.py",
    HERE / "negative.py",
    ROOT / "examples/hello_realm.py",
    ROOT / "examples/travel_realms.py",
    ROOT / "examples/trip_booking.py",
    ROOT / "examples/money_transfer.py",
    ROOT / "examples/order_checkout.py",
)
CONTROL = """\
from symphainy import Context


async def steps(ctx: Context) -> None:
    name: str = "a"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await ctx.step(name, len, 7)
"""
PASSES, UNMARKED = 5, 6


class Complaint(NamedTuple):
    """Something that a checker says about a line, from 1."""

    file: str
    line: int
    rule: str
    message: str


def told(*command: str) -> str:
    """What a checker printed; it may find something, but may not break down."""
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return ran.stdout


def mypy(files: tuple[str, ...]) -> Iterator[Complaint]:
    """Everything that mypy complains of; its cache lies beside that of `make types`."""
    cache = ROOT / ".mypy_cache" / "typing"
    options = ("--config-file=", "--strict", "--output=json", f"--cache-dir={cache}")
    for line in told("mypy", *options, *files).splitlines():
        found: dict[str, Any] = json.loads(line)
        yield Complaint(
            Path(found["file"]).name, found["line"], str(found["code"]), found["message"]
        )


def pyright(files: tuple[str, ...]) -> Iterator[Complaint]:
    """Everything that pyright complains of."""
    options = ("--project", str(HERE), "--pythonpath", sys.executable, "--outputjson")
    for found in json.loads(told("basedpyright", *options, *files))["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        yield Complaint(Path(found["file"]).name, line, found.get("rule", ""), found["message"])


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_checker_passes_what_is_right_and_catches_what_is_wrong(
    checker: Callable[[tuple[str, ...]], Iterator[Complaint]], tmp_path: Path
) -> None:
    control = tmp_path / "control.py"
    control.write_text(CONTROL)
    complaints = list(checker((*map(str, SAMPLES), str(control))))
    assert [one for one in complaints if one.file != control.name] == []
    assert {one.line for one in complaints} == {PASSES, UNMARKED}
