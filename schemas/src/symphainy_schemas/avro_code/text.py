"""Source text under way: its lines, the names that it uses, and the functions it already holds."""

from __future__ import annotations

import linecache
from typing import Any

SLICE = """\
start = at + 1
at += SPAN[data[at]]
if at < start:
    start, at = span(data, at)"""
"""A string or bytes: where they start and end."""

BLOCKS = """\
while True:
    count = data[at]
    at += 1
    if count & 129:
        count, at = block(data, at - 1)
    if count == 0:
        break
    for _ in range(count >> 1):"""
"""An array's or map's items; what reads one follows, two blocks further in."""


class Text:
    """Python source that grows function by function; tables of functions stand at its end."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self._lines: list[str] = []
        self._last: list[str] = []
        self._claimed: set[str] = set()
        self._fresh = 0

    def claim(self, function: str) -> bool:
        """Whether the function is not yet in the text; whoever asks first writes it."""
        new = function not in self._claimed
        self._claimed.add(function)
        return new

    def fresh(self, name: str) -> str:
        """A function's name that nothing has."""
        self._fresh += 1
        return f"{name}_{self._fresh}"

    def put(self, depth: int, *lines: str) -> None:
        """Adds lines, indented by `depth`."""
        self._lines += indented([*lines], depth)

    def later(self, value: str) -> str:
        """The name of a value that is computed once all functions stand."""
        name = f"table_{len(self._last)}"
        self._last.append(f"{name} = {value}")
        return name

    def function(self, name: str, title: str) -> Any:
        """Runs the text and answers one of its functions; tracebacks show its lines, under a title
        that no other text has."""
        source = "\n".join([*self._lines, *self._last, ""])
        file = f"<avro_code {title}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), self.names)
        return self.names[name]


def indented(lines: list[str], depth: int = 1) -> list[str]:
    """The lines, `depth` blocks further in."""
    return ["    " * depth + line for line in lines]
