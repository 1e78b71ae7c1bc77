"""The README keeps what it says: every command in it runs, every file in it is there.

- Each `sh` block is run as it stands: `make demo`, `make dev`, and what is said to run beside it.
- Ctrl-C ends `make dev` within 10 s and leaves no process behind.
- The handler shown is the example's file; every link leads somewhere.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.system import eventually

from symphainy_runtime.local.ports import free_ports

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
BESIDE = [block for block in BLOCKS if not block.startswith(("make ", "symphainy worker"))]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A data folder and a port of its own; the commands of this checkout on the path."""
    return {
        **os.environ,
        "SYMPHAINY_DATA_DIR": str(tmp_path_factory.mktemp("readme") / "data"),
        "SYMPHAINY_GATEWAY_PORT": str(free_ports(1)[0]),
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def dev(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`make dev`, running; its output. Ended by Ctrl-C, with nothing left behind."""
    log = tmp_path_factory.mktemp("dev") / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "dev"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    eventually(
        lambda: "Ctrl-C" in log.read_text() or process.poll() is not None,
        "make dev is up",
        patience_s=150,
    )
    assert process.poll() is None, log.read_text()
    family = psutil.Process(process.pid).children(recursive=True)
    yield log
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    process.wait(20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, alive
    assert time.monotonic() - begin < 15


def test_make_demo_ends_well_and_prints_what_happened(environment: dict[str, str]) -> None:
    assert "make demo\n" in BLOCKS
    done = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "demo passed" in done.stdout
    assert re.search(r"intent_received\s*│ journal", done.stdout)


def test_make_dev_submits_the_demo_and_prints_urls(dev: Path) -> None:
    assert "make dev\n" in BLOCKS
    text = dev.read_text()
    assert "demo passed" in text
    assert re.search(r"gateway\s+http://127\.0\.0\.1:\d+", text)
    assert "api key  sym_" in text


@pytest.fixture(scope="module")
def worker(
    dev: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The README's worker, running as in a terminal of its own."""
    (block,) = (block for block in BLOCKS if block.startswith("symphainy worker"))
    log = tmp_path_factory.mktemp("worker") / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {block}"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    eventually(lambda: "ready worker" in log.read_text(), "the worker is ready")
    yield
    process.terminate()
    assert process.wait(15) == 0, log.read_text()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("block", BESIDE)
def test_every_other_command_runs_beside_it(block: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{block}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "hello.greet" in block:
        assert "Hello, Ada!" in done.stdout


def test_the_handler_shown_is_the_examples_file() -> None:
    (shown,) = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", README, re.DOTALL)
    path, text = shown
    assert (ROOT / path).read_text() == text
    assert len(text.splitlines()) <= 20


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
