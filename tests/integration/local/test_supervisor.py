"""Invariants of supervision.

- A start that returns has a child that is ready; one that fails tells why, with the log's end.
- An unasked death is reported once, with the log's end; an asked one never.
- A child's end is the end of all it started; a stop takes no longer than its deadline.
- A child lives as long as it should: not by the thread that asked for it.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from symphainy_runtime.local import ChildFailed, ChildSpec, Death, Supervisor

Eventually = Callable[[Callable[[], bool], str], None]
Gone = Callable[[int], bool]

SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); {SLEEP}"


def python(
    name: str,
    code: str,
    folder: Path,
    *,
    ready: Callable[[], bool] | None = None,
    ready_timeout_s: float = 20.0,
    stop_timeout_s: float = 5.0,
) -> ChildSpec:
    return ChildSpec(
        name,
        (sys.executable, "-c", code),
        dict(os.environ),
        folder / "logs" / f"{name}.log",
        cwd=folder,
        ready=ready,
        ready_timeout_s=ready_timeout_s,
        stop_timeout_s=stop_timeout_s,
    )


def test_start_returns_when_the_child_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "up"
    child = supervisor.start(python("a", f"open('up', 'w'); {SLEEP}", tmp_path, ready=flag.exists))
    assert flag.exists()
    assert supervisor.pids == {"a": child.pid}
    assert psutil.Process(child.pid).cmdline()[-1].endswith(SLEEP)


def test_a_death_before_ready_tells_code_and_log(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "[print('line', n) for n in range(99)]; raise SystemExit(3)"
    with pytest.raises(ChildFailed) as caught:
        supervisor.start(python("a", code, tmp_path, ready=lambda: False))
    assert caught.value.exit_code == 3
    assert "a exited with code 3 before it was ready" in str(caught.value)
    assert str(tmp_path / "logs" / "a.log") in str(caught.value)
    assert caught.value.tail.splitlines() == [f"line {n}" for n in range(69, 99)]


def test_never_ready_is_killed_and_tells_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    logged = tmp_path / "logs" / "a.log"
    code = f"print('still thinking', flush=True); {SLEEP}"
    with pytest.raises(ChildFailed, match=r"not ready within 1 s[\s\S]*still thinking") as caught:
        supervisor.start(python("a", code, tmp_path, ready=lambda: False, ready_timeout_s=1.0))
    assert caught.value.exit_code is None
    assert logged.read_text() == "still thinking\n"
    assert supervisor.pids == {}


def test_a_program_that_is_not_there_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = ChildSpec("a", ("no-such-program",), {}, tmp_path / "a.log", ready=lambda: False)
    with pytest.raises(ChildFailed, match="cannot execute no-such-program: No such file"):
        supervisor.start(spec)


def test_the_log_tail_is_of_this_run_only(supervisor: Supervisor, tmp_path: Path) -> None:
    for word in ("first", "second"):
        with pytest.raises(ChildFailed) as caught:
            supervisor.run(python("a", f"print('{word}'); raise SystemExit(1)", tmp_path))
        assert caught.value.tail == word


def test_run_returns_when_the_child_has_done_its_work(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.run(python("a", "open('done', 'w')", tmp_path))
    assert (tmp_path / "done").exists()


def test_an_unasked_death_is_reported_with_the_logs_end(tmp_path: Path) -> None:
    deaths: queue.Queue[Death] = queue.Queue()
    supervisor = Supervisor(deaths.put)
    child = supervisor.start(python("a", "print('last words'); raise SystemExit(3)", tmp_path))
    death = deaths.get(timeout=20)
    assert (death.name, death.pid, death.exit_code) == ("a", child.pid, 3)
    assert death.tail == "last words"
    assert str(death) == f"a (pid {child.pid}) exited with code 3"
    assert supervisor.pids == {}


def test_on_death_may_restart(tmp_path: Path) -> None:
    deaths: queue.Queue[Death] = queue.Queue()

    def revive(death: Death) -> None:
        supervisor.restart(death.name)
        deaths.put(death)

    supervisor = Supervisor(revive)
    first = supervisor.start(python("a", SLEEP, tmp_path))
    os.kill(first.pid, signal.SIGKILL)
    assert deaths.get(timeout=20).exit_code == -signal.SIGKILL
    assert supervisor.pids["a"] != first.pid
    supervisor.stop_all()


def test_asked_deaths_are_not_reported(tmp_path: Path) -> None:
    deaths: list[Death] = []
    supervisor = Supervisor(deaths.append)
    for end in (supervisor.stop, supervisor.kill):
        child = supervisor.start(python("a", SLEEP, tmp_path))
        end("a")
        assert not child.alive
    assert deaths == []


def test_a_child_lives_on_when_the_thread_that_asked_ends(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    spec = python("a", SLEEP, tmp_path)
    children = []
    starter = threading.Thread(target=lambda: children.append(supervisor.start(spec)))
    starter.start()
    starter.join()
    assert not children[0].wait(0.3), "the parent-death signal followed the thread"


def test_what_a_child_started_ends_with_it(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually, gone: Gone
) -> None:
    flag = tmp_path / "grandchild"
    script = "sleep 600 & echo $! > new; mv new grandchild; wait"
    spec = ChildSpec(
        "a", ("/bin/sh", "-c", script), dict(os.environ), tmp_path / "a.log", tmp_path, flag.exists
    )
    supervisor.start(spec)
    grandchild = int(flag.read_text())
    supervisor.stop("a")
    eventually(lambda: gone(grandchild), "the grandchild is gone")


def test_stop_all_ends_the_last_started_first(tmp_path: Path) -> None:
    supervisor = Supervisor()
    for name in ("a", "b", "c"):
        code = (
            "import signal, sys, time\n"
            f"signal.signal(signal.SIGTERM, lambda *_: (open('order', 'a').write('{name}'),"
            f" sys.exit()))\nopen('{name}', 'w')\ntime.sleep(600)"
        )
        supervisor.start(python(name, code, tmp_path, ready=(tmp_path / name).exists))
    (tmp_path / "a").unlink()
    supervisor.restart("a")  # keeps its place
    (tmp_path / "order").unlink()
    supervisor.stop_all()
    assert (tmp_path / "order").read_text() == "cba"
    assert supervisor.pids == {}


def test_stop_all_shares_one_deadline(tmp_path: Path, gone: Gone) -> None:
    supervisor = Supervisor()
    pids = []
    for name in ("a", "b", "c"):
        flag = tmp_path / "deaf"
        flag.unlink(missing_ok=True)
        pids.append(supervisor.start(python(name, DEAF, tmp_path, ready=flag.exists)).pid)
    before = time.monotonic()
    supervisor.stop_all(deadline_s=1.0)
    assert time.monotonic() - before < 3 * 1.0, "each child had a deadline of its own"
    assert all(map(gone, pids))


def test_two_children_of_one_name_are_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(python("a", SLEEP, tmp_path))
    with pytest.raises(ValueError, match="a runs already"):
        supervisor.start(python("a", SLEEP, tmp_path))
