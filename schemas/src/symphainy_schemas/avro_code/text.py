"""Source text under way: its lines, the names that it uses, and the functions it already holds."""

from __future__ import annotations

import linecache
from typing import Any


class Text:
    """Python source that grows function by function; tables of functions stand at its end."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self._lines: list[str] = []
        self._last: list[str] = []
        self._claimed: set[str] = set()

    def claim(self, function: str) -> bool:
        """Whether the function is not yet in the text; whoever asks first writes it."""
        new = function not in self._claimed
        self._claimed.add(function)
        return new

    def put(self, depth: int, *lines: str) -> None:
        """Adds lines, indented by `depth`."""
        self._lines += indented([*lines], depth)

    def later(self, value: str) -> str:
        """The name of a value that is computed once all functions stand."""
        name = f"table_{len(self._last)}"
        self._last.append(f"{name} = {value}")
        return name

    def function(self, name: str) -> Any:
        """Runs the text and answers one of its functions; tracebacks show its lines."""
        source = "\n".join([*self._lines, *self._last, ""])
        file = f"<avro_code {name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), self.names)
        return self.names[name]


def indented(lines: list[str], depth: int = 1) -> list[str]:
    """The lines, `depth` blocks further in."""
    return ["    " * depth + line for line in lines]
