"""Result rows as JSON lines: one file a run, appended to as it goes."""

import json
from pathlib import Path

from bench.peers.clock import utc
from bench.peers.peer import REPO
from bench.peers.steps import Json


class Results:
    """The rows of one run, in memory and in its file."""

    def __init__(self, path: Path | None) -> None:
        """Without a ``path``, a new file named after the time, in a git-ignored folder."""
        name = f"peers-{utc():%Y%m%dT%H%M%SZ}.jsonl"
        self.path = path or REPO / "bench/results/local" / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: list[Json] = []

    def add(self, row: Json) -> None:
        """Keep a row, write it, and show it."""
        stamped = {"at": utc().isoformat(), **row}
        self.rows.append(stamped)
        line = json.dumps(stamped, ensure_ascii=False)
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def read(path: Path) -> list[Json]:
    """The rows of a file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]
