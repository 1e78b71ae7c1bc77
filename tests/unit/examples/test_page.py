"""What docs/sagas.md says of the ports is so.

- Its table has the lines that `bench.lines` counts of our files as they are.
- Its code stands in the files, and its pictures are what the command draws of such a run.
- The rule of counting leaves out what says nothing, on both sides in the same way.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.lines import ALL, SAMPLES, Sample, code, main, table
from examples.money_transfer import Transfer, bank, deposit, refund, transfer
from tests.unit.examples.drawn import drawn

from symphainy import TerminalError
from symphainy.testing import Harness

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/sagas.md").read_text()
BLOCKS = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
PICTURES = re.findall(r":\n\n```\n(.*?)```", PAGE, re.DOTALL)
SOURCE = '''\
"""What it is."""

import os
from pathlib import Path  # two imports

# a comment
LIMIT = 3


@decorated
def read(path):
    """What it does."""

    """A remark."""
    text = """two
    lines"""
    return text  # with a remark


if __name__ == "__main__":
    read(".")
'''


def test_the_table_has_the_lines_of_our_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert table() in PAGE
    assert main([]) == 0
    assert capsys.readouterr().out == table()


def test_only_lines_with_code_are_counted() -> None:
    assert list(code(SOURCE)) == [("LIMIT", 1), ("read", 5)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
def test_nothing_of_a_port_is_left_out(sample: Sample) -> None:
    names = {name for name, _ in code((ROOT / sample.port.path).read_text())}
    assert set(sample.port.around) < names
    assert sample.port.saga == ALL


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_the_code_shown_stands_in_its_file(path: str, block: str) -> None:
    assert block in (ROOT / path).read_text()


def test_every_python_block_names_its_file() -> None:
    assert len(BLOCKS) == PAGE.count("```python") > 0


async def test_the_pictures_are_what_is_drawn() -> None:
    async with Harness(bank) as harness:
        closed = TerminalError("The account 43-812 is closed.", code="account_closed")
        harness.fail(deposit, closed)
        harness.fail(refund, ConnectionError("The bank does not answer."), times=3)
        run = await harness.submit(
            transfer, Transfer(source_account="85-150", target_account="43-812", amount=250)
        )
        stuck = drawn(harness, run)
        await run.retry("compensate:withdraw")
        assert [stuck, drawn(harness, run)] == PICTURES
