"""What docs/testing.md shows is in files that run, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/testing.md").read_text()
BLOCKS = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_python_block_names_its_file() -> None:
    assert len(BLOCKS) == PAGE.count("```python") > 5


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_each_block_stands_in_its_file(path: str, block: str) -> None:
    assert block in (ROOT / path).read_text()
