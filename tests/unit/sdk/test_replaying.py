"""Replayed handlers held against their record: verdicts, differences by field, and isolation.

- Members that differ are named by JSON pointers; true is not 1, and a list's length counts.
- In isolation what Python reports of network, disk and processes is refused, the scratch folder
  excepted, and a handler that swallows the refusal is told all the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from symphainy.invocation import Failed, Succeeded
from symphainy.replaying.comparing import Difference, Verdict, compare, differ
from symphainy.replaying.retelling import Retold
from symphainy_schemas.recording import Recorded, Returned
from symphainy_schemas.records import Error, Task

TASK = Task(
    execution_id="exe-0-" + "0" * 32,
    session_id="ses-0-" + "0" * 32,
    tenant_id="acme",
    partition=0,
    dispatched_at=1,
    step="main",
    attempt=1,
    delivery=1,
    token="",
    start_by=0,
    timeout_ms=0,
    realm="r",
    intent_id="i",
    intent_type="r.a",
    capability_version=1,
    handler="a",
    principal="ann",
    correlation_id="c",
    payload=b"{}",
    metadata=b"{}",
    solution_context=b"",
    created_at=0,
)
OK = Returned(result=b'{"n":1}')
BAD = Returned(error=Error(code="no", message="No."))


def recorded(returned: Returned | None, end: str = "succeeded") -> Recorded:
    return Recorded(task=TASK, answers=(), begun_ms=0, returned=returned, end=end)


def told(
    answer: Succeeded | Failed | None, difference: str = "", *, marked: bool = False
) -> Retold:
    return Retold(difference, (), ("more",) if answer is None else (), marked, answer)


@pytest.mark.parametrize(
    ("was", "now", "verdict"),
    [
        (OK, told(Succeeded(b'{"n":1}')), Verdict.EQUAL),
        (OK, told(Succeeded(b'{"n":2}')), Verdict.DIFFERENT),
        (OK, told(Failed(Error(code="x", message="y"))), Verdict.FAILED),
        (OK, told(None, "it asks for more where the record ends."), Verdict.DIFFERENT),
        (OK, told(Succeeded(b'{"n":2}'), marked=True), Verdict.UNDETERMINED),
        (BAD, told(Failed(Error(code="no", message="No."))), Verdict.EQUAL),
        (BAD, told(Failed(Error(code="no", message="Never."))), Verdict.DIFFERENT),
        (BAD, told(Succeeded(b"{}")), Verdict.DIFFERENT),
        (BAD, told(None), Verdict.UNDETERMINED),
        (None, told(Succeeded(b"{}")), Verdict.UNDETERMINED),
    ],
)
def test_the_verdict(was: Returned | None, now: Retold, verdict: Verdict) -> None:
    found = compare(recorded(was), now, 1.0)
    assert found.verdict is verdict
    assert bool(found.why) == (verdict is not Verdict.EQUAL)


def test_differences_are_named_by_their_place() -> None:
    was = {"a/b": [1, {"x": 1}], "same": None, "list": [1]}
    now = {"a/b": [1, {"x": True}], "same": None, "list": [1, 2], "more": 0}
    assert differ(was, now) == [
        Difference("/a~1b/1/x", 1, True),
        Difference("/list", [1], [1, 2]),
        Difference("/more", None, 0),
    ]
    assert differ(was, was) == []


TRIES = """
import os, shutil, socket, sqlite3, subprocess, sys, tempfile
from pathlib import Path
from symphainy.replaying.isolation import Isolation, ReachedOutside

scratch, outside = Path(sys.argv[1]), Path(sys.argv[2])
isolation = Isolation(scratch)
TRIES = (
    lambda: (outside / "a").write_text(""),
    lambda: os.open(outside / "kept", os.O_RDWR),
    lambda: os.remove(outside / "kept"),
    lambda: os.rename(outside / "kept", scratch / "kept"),
    lambda: os.mkdir(outside / "b"),
    lambda: shutil.rmtree(outside),
    lambda: sqlite3.connect(outside / "c"),
    lambda: (scratch / "link" / "d").write_text(""),
    lambda: socket.create_connection(("127.0.0.1", 9), 0.1),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9)),
    lambda: subprocess.run([sys.executable, "-c", ""]),
    lambda: os.system("true"),
    lambda: os.kill(os.getpid(), 0),
)
for number, attempt in enumerate(TRIES):
    with isolation.guarding():
        try:
            attempt()
        except ReachedOutside:
            pass
        else:
            sys.exit(f"try {number} reached outside")
    if not isolation.reached:
        sys.exit(f"try {number} was not noted")
with isolation.guarding():
    (scratch / "e").write_text("")
    (outside / "kept").read_text()
    open(os.devnull, "w").close()
assert not isolation.reached
(outside / "f").write_text("")  # nothing is guarded any more
"""


def test_what_leaves_is_refused(tmp_path: Path) -> None:
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (scratch / "link").symlink_to(outside)
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(scratch), str(outside)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(one.name for one in outside.iterdir()) == ["f", "kept"]
