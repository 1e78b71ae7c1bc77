"""The result file of a shadow replay: what was found of each execution, and where to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec
from msgspec import Struct, field

from symphainy.replaying.comparing import Verdict
from symphainy_cli.rerun.work import Done
from symphainy_schemas.errors import CallerError, OperatorError

FORMAT = "symphainy-shadow-1"
LEAST_MS = 50.0
"""What takes less than so much longer is not slower: a process' start of work is as noisy."""
EXAMPLES = 20


class Summary(Struct, kw_only=True):
    """What was found of all of them."""

    executions: int = 0
    equal: int = 0
    different: int = 0
    failed: int = 0
    undetermined: int = 0
    slower: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    """The first that are different or fail."""

    def count(self, line: Mapping[str, Any]) -> None:
        """Add one."""
        self.executions += 1
        verdict: str = line["verdict"]
        setattr(self, verdict, getattr(self, verdict) + 1)
        self.slower += line["slower"]
        if verdict in (Verdict.DIFFERENT, Verdict.FAILED) and len(self.examples) < EXAMPLES:
            self.examples.append(dict(line))


class Results:
    """Appends a line for each execution. A file that is there is read first, and gone on with: a
    last line that is not whole, as a kill leaves it, is cut off, and its execution run again."""

    def __init__(self, path: Path, about: Mapping[str, Any], slower: float) -> None:
        """`about` says which replay it is of; `slower` as the command line has it.

        Raises:
            CallerError: the file is of another replay, or of none; or it cannot be read.
        """
        self.done: set[str] = set()
        self.summary = Summary()
        self._path, self._about, self._slower = path, dict(about), slower
        self._whole = 0
        self._file: IO[bytes] | None = None
        self._read()

    def __enter__(self) -> Results:
        """Open it for what comes.

        Raises:
            OperatorError: it cannot be written.
        """
        try:
            self._file = self._path.open("r+b" if self._whole else "wb")
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
            if not self._whole:
                self._write({"format": FORMAT, **self._about})
        except OSError as error:
            raise OperatorError(
                f"{self._path} cannot be written: {error.strerror}.",
                code="results_not_written",
                field="--out",
                cure="Name a file in a folder that is there.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, done: Done) -> None:
        """Keep what was found of one."""
        line = self._line(done)
        self._write(line)
        self.done.add(done.execution_id)
        self.summary.count(line)

    def _line(self, done: Done) -> dict[str, Any]:
        steps: list[dict[str, Any]] = msgspec.to_builtins(done.steps)
        return {
            "execution_id": done.execution_id,
            "tenant_id": done.tenant_id,
            "intent_type": done.intent_type,
            "verdict": done.verdict.value,
            "slower": any(self._is_slower(step) for step in steps),
            "steps": steps,
        }

    def _is_slower(self, step: Mapping[str, Any]) -> bool:
        took, recorded = step["took_ms"], step["recorded_ms"]
        return bool(recorded >= 0 and took > max(recorded * self._slower, recorded + LEAST_MS))

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._not_ours(f"cannot be read: {error.strerror}") from error
        whole = content[: content.rfind(b"\n") + 1]
        try:
            head, *lines = [msgspec.json.decode(line) for line in whole.splitlines()] or [None]
        except msgspec.DecodeError as error:
            raise self._not_ours("is no result of a shadow replay") from error
        if head is None and not content:
            return
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise self._not_ours("is no result of a shadow replay")
        about = msgspec.json.decode(msgspec.json.encode(self._about))
        if {name: head.get(name) for name in about} != about:
            raise self._not_ours("is of a shadow replay with other options")
        for line in lines:
            self.done.add(line["execution_id"])
            self.summary.count(line)
        self._whole = len(whole)

    def _not_ours(self, why: str) -> CallerError:
        return CallerError(
            f"{self._path} {why}.",
            code="other_results",
            field="--out",
            cure="Name another file, or repeat the command by which it was begun.",
        )
