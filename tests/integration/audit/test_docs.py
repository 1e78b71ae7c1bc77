"""docs/audit.md keeps what it says: every command in its `sh` blocks runs, as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace
from tests.support.histories import history
from tests.support.system import System

from symphainy_cli.audit import app
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

PAGE = (Path(__file__).parents[3] / "docs/audit.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
EXECUTION = f"exe-0-{'0' * 32}"


def execution_record() -> bytes:
    """The first record under the takeover at offset 0, of an execution."""
    record = decode(history([1])[1], JournalRecord)
    return encode(replace(record, execution_id=EXECUTION, tenant_id="acme"))


def test_every_command_runs(system: System, tmp_path: Path) -> None:
    out = producer(system.settings, "writer")
    topic = Topics(system.settings.topic_prefix).name(JOURNAL)
    for value in (history([])[0], execution_record()):
        out.produce(topic, value, partition=0)
    assert out.flush(30) == 0
    commands = "".join(BLOCKS).replace(
        "symphainy audit key\n", "VERIFIER_KEY=$(symphainy audit key)\n"
    )
    environment = {
        **system.environment,
        "EXECUTION": EXECUTION,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{commands}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "proven: partition 0, offset 1" in done.stdout
    assert "acme: 1 records proven" in done.stdout


def test_every_command_is_on_the_page() -> None:
    names = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert all(f"`audit {name}" in PAGE for name in names)
