"""What docs/testing.md and docs/identity.md show, and docs/handlers.md of plans, is in files that
run, or that are type-checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/testing.md").read_text()
HANDLERS = (ROOT / "docs/handlers.md").read_text().partition("\n## Undoing\n")[2]
IDENTITY = (ROOT / "docs/identity.md").read_text()
BLOCKS = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", PAGE + HANDLERS + IDENTITY, re.DOTALL)


def test_every_python_block_names_its_file() -> None:
    assert PAGE.count("```python") > 5
    assert HANDLERS.count("```python") > 1
    assert IDENTITY.count("```python") == 1
    assert len(BLOCKS) == (PAGE + HANDLERS + IDENTITY).count("```python")


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_each_block_stands_in_its_file(path: str, block: str) -> None:
    assert block in (ROOT / path).read_text()
