"""The command line, run as an operator would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tests.support.system import System


def run(system: System, command: Sequence[str], code: int = 0) -> str:
    """What a command prints, if it ends with that code."""
    assert command[0] == "symphainy"
    done = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", *command[1:]],
        env={
            **system.environment,
            "SYMPHAINY_URL": str(system.http.base_url),
            "SYMPHAINY_API_KEY": system.key,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout
