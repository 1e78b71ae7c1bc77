"""How long the ports in examples/ are beside their originals, by one rule for both.

`python -m bench.lines` prints the table of docs/sagas.md. `--originals DIR`, with a clone of each
original's repository in DIR under its name, counts those anew and says where a number is wrong.

The rule: lines that hold code, after `ruff format` with one configuration. Not counted are blank
lines, comments, docstrings, imports, and what starts a process or serves a front end. What is
counted is either *saga* (what is done, in which order, retried how often, undone how) or *around*
it (data models, errors, stand-ins for outside systems).
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ALL = ("*",)
_LAYOUT = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)


class Lines(NamedTuple):
    """Of one side."""

    saga: int
    around: int


@dataclass(frozen=True)
class File:
    """Which top-level names of a file are what; what is in neither is not counted."""

    path: str
    saga: tuple[str, ...] = ()
    around: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A port, and what it is a port of; `counted` are the original's lines."""

    title: str
    port: File
    repository: str
    commit: str
    folder: str
    files: tuple[File, ...]
    counted: Lines


SAMPLES = (
    Sample(
        "trip",
        File(
            "examples/trip_booking.py",
            ALL,
            ("Flight", "Car", "Hotel", "Trip", "Booking", "Provider", "airline, rental, hotels"),
        ),
        "restatedev/examples",
        "2d429daae784d20982691fb31431702b4ad30a6b",
        "python/patterns-use-cases/sagas",
        (
            File("app.py", ("booking_workflow", "run"), ("BookingRequest",)),
            File("clients/flight_client.py", (), ALL),
            File("clients/car_rental_client.py", (), ALL),
            File("clients/hotel_client.py", (), ALL),
        ),
        Lines(saga=31, around=30),
    ),
    Sample(
        "money transfer",
        File("examples/money_transfer.py", ALL, ("Transfer", "Posting", "Ledger", "ledger")),
        "temporalio/money-transfer-project-template-python",
        "9bcb4d951b7fde41d7787eadd5825128d579ef18",
        "",
        (
            File("workflows.py", ALL),
            File("activities.py", ALL),
            File("shared.py", (), ("PaymentDetails",)),
            File("banking_service.py", (), ALL),
        ),
        Lines(saga=80, around=52),
    ),
    Sample(
        "order",
        File(
            "examples/order_checkout.py",
            ALL,
            ("Checkout", "Order", "Payment", "Status", "Store", "store"),
        ),
        "dbos-inc/dbos-demo-apps",
        "90064b85b5838e403c006c077afdc09bea70f348",
        "python/widget-store/widget_store",
        (
            File(
                "main.py",
                (
                    "PAYMENT_STATUS",
                    "PAYMENT_ID",
                    "ORDER_ID",
                    "checkout_workflow",
                    "dispatch_order_workflow",
                ),
                (
                    "WIDGET_ID",
                    "reserve_inventory",
                    "undo_reserve_inventory",
                    "create_order",
                    "update_order_status",
                    "update_order_progress",
                ),
            ),
            File("schema.py", (), ("metadata", "products", "orders", "OrderStatus")),
        ),
        Lines(saga=43, around=68),
    ),
)


def ours(sample: Sample) -> Lines:
    """The lines of a port, as it is."""
    return _counted((sample.port,), lambda path: (ROOT / path).read_text())


def theirs(sample: Sample, clones: Path) -> Lines:
    """The lines of an original, from a clone of its repository."""
    clone = clones / sample.repository.partition("/")[2]

    def read(path: str) -> str:
        whole = f"{sample.folder}/{path}" if sample.folder else path
        return _run("git", "-C", str(clone), "show", f"{sample.commit}:{whole}")

    return _counted(sample.files, read)


def table() -> str:
    """What docs/sagas.md shows."""
    rows = [
        "| sample | original, in Python | its saga | and around it | our saga | and around it |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for one in SAMPLES:
        where = f"https://github.com/{one.repository}/tree/{one.commit}/{one.folder}".rstrip("/")
        port = ours(one)
        rows.append(
            f"| [{one.title}](../{one.port.path}) "
            f"| [{'/'.join(filter(None, (one.repository, one.folder)))}]({where}) at "
            f"`{one.commit[:12]}` | {one.counted.saga} | {one.counted.around} "
            f"| {port.saga} | {port.around} |"
        )
    return "\n".join(rows) + "\n"


def _counted(files: tuple[File, ...], read: Callable[[str], str]) -> Lines:
    saga = around = 0
    for one in files:
        for name, lines in code(_formatted(read(one.path))):
            if name in one.around:
                around += lines
            elif name in one.saga or one.saga == ALL:
                saga += lines
            elif one.around == ALL:
                around += lines
    return Lines(saga, around)


def code(source: str) -> Iterator[tuple[str, int]]:
    """The statements at the top of a module that count: their names, and their lines of code."""
    tree = ast.parse(source)
    filled = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            filled -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    for node in tree.body:
        name = _name(node)
        if name:
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            yield name, len(filled.intersection(range(first, (node.end_lineno or 0) + 1)))


def _name(node: ast.stmt) -> str:
    """What a statement defines; empty for what defines nothing, such as an import or a start."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return ast.unparse(target).strip("()")
        case _:
            return ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _formatted(source: str) -> str:
    options = ("--isolated", "--line-length=100", "--config=format.skip-magic-trailing-comma=true")
    return _run(sys.executable, "-m", "ruff", "format", *options, "-", given=source)


def _run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def main(arguments: Collection[str] | None = None) -> int:
    """Print the table, or count the originals anew."""
    parser = argparse.ArgumentParser(prog="python -m bench.lines", description=__doc__)
    parser.add_argument("--originals", type=Path, help="where the originals' clones are")
    clones: Path | None = parser.parse_args(
        None if arguments is None else list(arguments)
    ).originals
    if clones is None:
        print(table(), end="")
        return 0
    wrong = 0
    for one in SAMPLES:
        found = theirs(one, clones)
        wrong += found != one.counted
        print(f"{one.title}: {found}{'' if found == one.counted else f', not {one.counted}'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
