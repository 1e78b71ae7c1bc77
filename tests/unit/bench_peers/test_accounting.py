"""Invariants of what is counted and how.

- A percentile is one of the values.
- Side effects are read once each, across partial lines; those before the reader do not count.
- A role's CPU time survives its kill.
- A child of a role is killed and started again as it was, while the role lives on.
- A role that ends by itself is told with the end of its log.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from bench.peers.effects import Effects
from bench.peers.meter import percentile, percentiles_ms
from bench.peers.ports import free_ports
from bench.peers.processes import Processes, RoleEnded
from hypothesis import given
from hypothesis import strategies as st

_BURN_S = 0.2
# /proc counts user and system time in ticks of 10 ms, each rounded down.
_SEEN_S = _BURN_S / 2


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], q: float) -> None:
    assert percentile(values, q) in values


def test_percentiles_are_in_milliseconds_and_absent_without_values() -> None:
    seconds = [n / 1000 for n in range(1, 101)]
    found = percentiles_ms(iter(seconds), 0.5, 0.99, 1)
    assert found == {"p50_ms": 51.0, "p99_ms": 100.0, "p100_ms": 100.0}
    assert percentiles_ms([], 0.5) == {}


def test_effects_are_read_once_each_and_across_partial_lines(tmp_path: Path) -> None:
    file = tmp_path / "effects"
    file.write_text("before 1 1.0\n")
    effects = Effects(file)
    with file.open("a") as out:
        for text in ("a 1 2.0\na 2 2", ".5\na 1 3.0\nb done 4.0\n"):
            out.write(text)
            out.flush()
            effects.read()
    effects.read()
    assert effects.times == {("a", "1"): [2.0, 3.0], ("a", "2"): [2.5], ("b", "done"): [4.0]}
    assert effects.distinct("1", "2", "3") == 2
    assert effects.repeated("1", "2", "3") == 1
    assert effects.repeated("done") == 0
    assert effects.first("1") == {"a": 2.0}


async def test_waiting_for_effects_ends_in_time(tmp_path: Path) -> None:
    assert not await Effects(tmp_path / "none").wait(lambda: False, 0.01)


def test_cpu_time_survives_the_kill(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    burn = f"import time\nwhile time.process_time() < {_BURN_S}: pass\ntime.sleep(60)"
    processes.spawn("worker", [sys.executable, "-c", burn], {})
    end = time.monotonic() + 30
    while processes.cpu_s()["worker"] < _SEEN_S and time.monotonic() < end:
        time.sleep(0.02)
    before = processes.cpu_s()["worker"]
    processes.kill("worker")
    assert processes.cpu_s()["worker"] >= before >= _SEEN_S
    assert processes.roles == ()


def test_a_child_of_a_role_is_killed_and_started_again_as_it_was(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    child = f"[{sys.executable!r}, '-c', 'import time; time.sleep(60)']"
    parent = f"import subprocess\nsubprocess.Popen({child}).wait()\nimport time; time.sleep(60)"
    processes.spawn("services", [sys.executable, "-c", parent], {})
    end = time.monotonic() + 30
    while len(processes.tree("services")) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    root, before = processes.tree("services")
    argv = before.cmdline()
    processes.restart_child("services", Path(before.exe()).name)
    try:
        (again,) = (role for role in processes.roles if role != "services")
        assert not before.is_running()
        assert root.is_running()
        assert processes.tree(again)[0].cmdline() == argv
    finally:
        for role in processes.roles:
            processes.kill(role)


def test_a_role_that_ends_by_itself_is_told_with_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.spawn("server", [sys.executable, "-c", "raise SystemExit('port is taken')"], {})
    with pytest.raises(RoleEnded, match=r"(?s)server ended with code 1.*port is taken"):
        _until_ended(processes)
    processes.kill("server")


def _until_ended(processes: Processes) -> None:
    for _ in range(1500):
        processes.check()
        time.sleep(0.02)


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20
