"""The import contracts hold, and fail when a forbidden import is planted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = ("schemas", "transport", "runtime", "processors", "sdk", "gateway", "cli", "testing")
PLANTED = [
    ("processors/src/symphainy_processors/saga/decide.py", "import uuid"),
    ("processors/src/symphainy_processors/fold/evolve.py", "import time"),
    ("processors/src/symphainy_processors/admission/decide.py", "import confluent_kafka"),
    ("schemas/src/symphainy_schemas/ids.py", "import symphainy_transport.topics"),
    ("sdk/src/symphainy/realm.py", "import symphainy_runtime.settings"),
    ("sdk/src/symphainy/realm.py", "import symphainy_testing"),
    ("sdk/src/symphainy/realm.py", "import symphainy.testing"),
    ("sdk/src/symphainy/testing.py", "import symphainy_processors.admission.decide"),
    ("processors/src/symphainy_processors/saga/decide.py", "import symphainy_processors.admission"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts over the copies of the packages in `folder`."""
    program = "from importlinter.cli import lint_imports_command as c; c()"
    options = ["--no-cache", "--config", str(folder / ".importlinter")]
    paths = os.pathsep.join(str(folder / member / "src") for member in MEMBERS)
    return subprocess.run(
        [sys.executable, "-c", program, *options],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages' sources, to be spoiled."""
    for member in MEMBERS:
        shutil.copytree(ROOT / member / "src", tmp_path / member / "src")
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("path", "planted"), PLANTED)
def test_a_planted_import_breaks_them(copy: Path, path: str, planted: str) -> None:
    target = copy / path
    text = target.read_text().replace(
        "from __future__ import annotations\n",
        f"from __future__ import annotations\n{planted}\n",
        1,
    )
    target.write_text(text)
    done = lint(copy)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
