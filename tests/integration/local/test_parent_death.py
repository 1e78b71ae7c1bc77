"""Invariants of the parent's end, by real parents that are sent real signals.

- SIGTERM, SIGINT and SIGHUP run the stop path exactly once, also in the middle of a start.
- Whatever ends the parent, SIGKILL too, no child is left, and the data folder is free again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from symphainy_runtime.local import graceful_signals
from symphainy_runtime.local.lock import FolderLock

Eventually = Callable[[Callable[[], bool], str], None]
Gone = Callable[[int], bool]

SERVICES = """
import json, sys
from pathlib import Path
from symphainy_runtime.local import LocalServices, graceful_signals

def say(line):
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

services = LocalServices(Path(sys.argv[1]))

def stop():
    services.stop()
    say("stopped")

with graceful_signals(stop) as signals:
    services.start()
    say(json.dumps(services.supervisor.pids))
    signals.wait()
say(f"after {signals.received.name}")
"""

SLOW_START = """
import os, sys
from pathlib import Path
from symphainy_runtime.local import ChildSpec, Supervisor, graceful_signals

folder = Path(sys.argv[1])
child = (sys.executable, "-c", "import os, time; open('new', 'w').write(str(os.getpid()));"
         "os.rename('new', 'pid'); time.sleep(600)")
spec = ChildSpec("slow", child, dict(os.environ), folder / "log", folder, lambda: False, 600)
supervisor = Supervisor()
with graceful_signals(supervisor.stop_all):
    supervisor.start(spec)
"""

SLOW_STOP = """
import sys, time
from pathlib import Path
from symphainy_runtime.local import graceful_signals

def say(line):
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

def stop():
    say("stopping")
    while not Path(sys.argv[1], "go").exists():
        time.sleep(0.01)
    say("stopped")

with graceful_signals(stop) as signals:
    say("ready")
    signals.wait()
"""


@contextmanager
def parent(script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all parents, one after the other: each must leave it free."""
    return tmp_path_factory.mktemp("parents") / "data"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name
)
def test_no_child_outlives_a_parent_that_gets(
    number: signal.Signals, shared: Path, eventually: Eventually, gone: Gone
) -> None:
    with parent(SERVICES, shared) as process:
        pids: dict[str, int] = json.loads(line(process))
        assert pids.keys() == {"valkey", "kafka"}
        process.send_signal(number)
        rest = "" if process.stdout is None else process.stdout.read()
    if number is signal.SIGKILL:
        assert (rest, process.returncode) == ("", -signal.SIGKILL)
    else:
        assert (rest, process.returncode) == (f"stopped\nafter {number.name}\n", 0)
    for name, pid in pids.items():
        eventually(partial(gone, pid), f"{name} is gone")
    lock = FolderLock(shared)
    assert lock.acquire(), "the folder is still held"
    lock.release()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_in_the_middle_of_a_start_ends_it(
    number: signal.Signals, tmp_path: Path, eventually: Eventually, gone: Gone
) -> None:
    with parent(SLOW_START, tmp_path) as process:
        eventually((tmp_path / "pid").exists, "the child runs")
        process.send_signal(number)
        assert process.wait(20) == 0
    assert gone(int((tmp_path / "pid").read_text()))


def test_later_signals_do_not_disturb_the_stop_path(tmp_path: Path) -> None:
    with parent(SLOW_STOP, tmp_path) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert line(process) == "stopping"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        (tmp_path / "go").touch()
        assert line(process) == "stopped"
        assert line(process) == ""
    assert process.returncode == 0


def test_an_error_goes_on_after_the_stop_path_and_handlers_are_restored() -> None:
    stops: list[str] = []
    before = signal.getsignal(signal.SIGTERM)

    def fail() -> None:
        with graceful_signals(lambda: stops.append("once")):
            assert signal.getsignal(signal.SIGTERM) != before
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert stops == ["once"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_in_this_process_leaves_the_block_at_once() -> None:
    stops: list[str] = []
    with graceful_signals(lambda: stops.append("once")) as signals:
        signal.raise_signal(signal.SIGINT)
        stops.append("never")
    assert stops == ["once"]
    assert signals.received is signal.SIGINT


def test_a_request_ends_the_wait() -> None:
    with graceful_signals(lambda: None) as signals:
        assert not signals.wait(0)
        threading.Thread(target=signals.request).start()
        assert signals.wait(20)
    assert signals.received is None
