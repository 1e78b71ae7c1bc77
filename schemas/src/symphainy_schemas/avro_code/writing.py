"""The source text of writers: for each record, a function that adds its bytes to a list.

A field's value, or its bytes, is in a local of its name with a low line behind it. Pieces that
stand beside each other are added at once.
"""

from __future__ import annotations

from symphainy_schemas.avro_code import binary
from symphainy_schemas.avro_code.binary import Write
from symphainy_schemas.avro_code.shapes import (
    Entries,
    Items,
    Maybe,
    Members,
    OneOf,
    Scalar,
    Shape,
    Symbols,
)
from symphainy_schemas.avro_code.text import Text, indented

_FROM_BINARY = ("BOOLEAN", "SMALL", "TIME_BYTES", "double_bytes", "long_bytes", "time_bytes")


def writer(shape: Members) -> Write:
    """The function that writes `shape`."""
    names = {name: getattr(binary, name) for name in _FROM_BINARY}
    writing = _Writing(Text(names))
    writing.record(shape)
    function = f"write_{shape.name}"
    write: Write = writing.text.function(function, function)
    return write


def _long(value: str) -> str:
    return f"SMALL[{value}] if -64 <= {value} < 8192 else long_bytes({value})"


class _Body:
    """Lines of a function, and the pieces that the next line will add."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._pieces: list[str] = []

    def add(self, *pieces: str) -> None:
        self._pieces += pieces

    def put(self, *lines: str) -> None:
        """Lines that need no piece to be out before them."""
        self.lines += lines

    def flush(self) -> None:
        match self._pieces:
            case []:
                pass
            case [piece]:
                self.lines.append(f"out.append({piece})")
            case pieces:
                self.lines.append(f"out += ({', '.join(pieces)})")
        self._pieces = []


class _Writing:
    def __init__(self, text: Text) -> None:
        self.text = text

    def record(self, shape: Members) -> str:
        """The name of the record's writer, which is in the text from here on."""
        function = f"write_{shape.name}"
        if not self.text.claim(function):
            return function
        body = _Body()
        for field, of in shape.fields:
            body.put(f"{field}_ = record.{field}")
            self._value(body, f"{field}_", of)
        body.flush()
        self.text.put(0, f"def {function}(record, out):")
        self.text.put(1, *(body.lines or ["pass"]))
        return function

    def _value(self, body: _Body, of: str, shape: Shape) -> None:
        """Writes the value in the local `of`."""
        match shape:
            case Scalar(kind="string"):
                body.put(f"{of} = {of}.encode()", f"{of}size = len({of})")
                body.add(_long(f"{of}size"), of)
            case Scalar(kind="bytes"):
                body.put(f"{of}size = len({of})")
                body.add(_long(f"{of}size"), of)
            case Scalar(kind="long"):
                body.add(_long(of))
            case Scalar(kind="time"):  # 1.0 is 1 as a key, and no long
                body.add(
                    f"(TIME_BYTES.get({of}) if type({of}) is int else None) or time_bytes({of})"
                )
            case Scalar(kind="boolean"):
                body.add(f"BOOLEAN[{of}]")
            case Scalar(kind="double"):
                body.add(f"double_bytes({of})")
            case Symbols(name=name, members=members):
                self.text.names[name] = {m: binary.long_bytes(i) for i, m in enumerate(members)}
                body.add(f"{name}[{of}]")
            case Maybe(of=inner):
                body.flush()
                some = self._some(of, inner, "b'\\2'")
                body.put(f"if {of} is None:", "    out.append(b'\\0')", "else:", *indented(some))
            case Items() | Entries():
                self._blocks(body, of, shape)
            case OneOf(branches=branches):
                self._one_of(body, of, branches)
            case Members():
                body.flush()
                body.put(f"{self.record(shape)}({of}, out)")

    def _some(self, of: str, shape: Shape, *before: str) -> list[str]:
        body = _Body()
        body.add(*before)
        self._value(body, of, shape)
        body.flush()
        return body.lines

    def _blocks(self, body: _Body, of: str, shape: Items | Entries) -> None:
        """All items in one block, then the end."""
        item, each = f"{of}item", _Body()
        if isinstance(shape, Entries):
            loop = f"for {of}key, {item} in {of}.items():"
            self._value(each, f"{of}key", Scalar("string"))
        else:
            loop = f"for {item} in {of}:"
        self._value(each, item, shape.of)
        each.flush()
        body.flush()
        count = f"out.append({_long(f'{of}size')})"
        body.put(
            f"{of}size = len({of})",
            f"if {of}size:",
            *indented([count, loop, *indented(each.lines)]),
        )
        body.add("b'\\0'")

    def _one_of(self, body: _Body, of: str, branches: tuple[Members, ...]) -> None:
        rows = []
        for index, branch in enumerate(branches):
            self.text.names[branch.name] = branch.record
            rows.append(f"{branch.name}: ({binary.long_bytes(index)!r}, {self.record(branch)})")
        table = self.text.later("{" + ", ".join(rows) + "}")
        body.flush()
        body.put(f"index, write = {table}[type({of})]", "out.append(index)", f"write({of}, out)")
