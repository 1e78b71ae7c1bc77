"""The source text of what skips values: as much is checked as it takes to find their end.

Lines move `at` behind a value. Lengths, counts and indexes are read as a reader reads them; what
strings hold is not.
"""

from __future__ import annotations

from symphainy_schemas.avro_code.shapes import (
    Entries,
    Items,
    Maybe,
    Members,
    Scalar,
    Shape,
)
from symphainy_schemas.avro_code.text import BLOCKS, SLICE, Text, indented

_SCALARS = {
    "string": SLICE,
    "bytes": SLICE,
    "long": "at += 1\nif data[at - 1] > 127:\n    _, at = long(data, at - 1)",
    "time": "if data[at:at + 6] in TIMES:\n    at += 6\nelse:\n    _, at = time(data, at)",
    "boolean": "at += 1",
    "double": "at += 8",
}


class Skipping:
    """Adds to a text of readers, whose names it shares."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def record(self, shape: Members) -> str:
        """The name of the function that answers the index behind the record."""
        function = f"skip_{shape.name}"
        if self.text.claim(function):
            body = [line for _, of in shape.fields for line in self.value(of)]
            self.text.put(0, f"def {function}(data, at):")
            self.text.put(1, *body, "return at")
        return function

    def value(self, shape: Shape) -> list[str]:
        """Lines that skip a value; they use the locals `start`, `there` and `count`."""
        match shape:
            case Scalar(kind=kind):
                return _SCALARS[kind].splitlines()
            case Maybe(of=of):
                return [
                    "there = THERE[data[at]]",
                    "if there is None:",
                    "    there, at = present(data, at)",
                    "else:",
                    "    at += 1",
                    "if there:",
                    *indented(self.value(of)),
                ]
            case Items(of=of):
                return self._blocks(self.value(of))
            case Entries(of=of):
                return self._blocks([*self.value(Scalar("string")), *self.value(of)])
            case Members():
                return [f"at = {self.record(shape)}(data, at)"]
        raise TypeError(f"A glance does not pass over {shape}.")

    def _blocks(self, item: list[str]) -> list[str]:
        """Blocks inside blocks would share a counter: each has a function of its own."""
        function = self.text.fresh("skip_items")
        lines = ["if data[at] == 0:", "    return at + 1", *BLOCKS.splitlines()]
        self.text.put(0, f"def {function}(data, at):")
        self.text.put(1, *lines, *indented(item, 2), "return at")
        return [f"at = {function}(data, at)"]
