"""Reads the side effects that handlers leave behind: lines ``run_id what time`` in one file."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.05


class Effects:
    """The file as it grows, from where it ended when this object was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._rest = b""
        self.times: dict[tuple[str, str], list[float]] = {}
        self.runs: Counter[str] = Counter()  # how many runs have had an effect, by its kind

    def read(self) -> None:
        """Take in what was appended since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            run_id, what, at = line.decode().split()
            seen = self.times.setdefault((run_id, what), [])
            if not seen:
                self.runs[what] += 1
            seen.append(float(at))

    def distinct(self, *whats: str) -> int:
        """How many effects of these kinds have come at least once, each of a run by itself."""
        return sum(self.runs[what] for what in whats)

    def repeated(self, *whats: str) -> int:
        """How many effects of these kinds came more than once."""
        return sum(len(times) - 1 for (_, what), times in self.times.items() if what in whats)

    def first(self, what: str) -> dict[str, float]:
        """When each run had its first effect of this kind, seconds since the epoch."""
        return {run_id: times[0] for (run_id, kind), times in self.times.items() if kind == what}

    async def wait(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Whether ``done()`` became true in time."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.read()
            if done():
                return True
            await asyncio.sleep(_POLL_S)
        return False
