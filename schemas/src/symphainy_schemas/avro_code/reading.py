"""The source text of readers: for each record, a function from bytes and index to record and index.

The text works on three names, `data`, `at` and `start`; a field's value is in a local of its name
with a low line behind it, so that none can meet another name.
"""

from __future__ import annotations

from symphainy_schemas.avro_code import binary
from symphainy_schemas.avro_code.binary import Read
from symphainy_schemas.avro_code.retelling import Instead, Retelling, left_out
from symphainy_schemas.avro_code.shapes import (
    Entries,
    First,
    Items,
    Maybe,
    Members,
    OneOf,
    Scalar,
    Shape,
    Symbols,
    Unread,
)
from symphainy_schemas.avro_code.skipping import Skipping
from symphainy_schemas.avro_code.text import BLOCKS, SLICE, Text, indented

_BY_TABLE = """\
{to} = {table}[data[at]]
if {to} is None:
    {to}, at = {call}
else:
    at += 1"""

_SCALARS = {
    "string": f"{SLICE}\n{{to}} = data[start:at].decode()",
    "bytes": f"{SLICE}\n{{to}} = data[start:at]",
    "long": _BY_TABLE.format(to="{to}", table="LONG", call="long(data, at)"),
    "time": """\
{to} = LONG[data[at]]
if {to} is not None:
    at += 1
else:
    {to} = TIMES.get(data[at:at + 6])
    if {to} is not None:
        at += 6
    else:
        {to}, at = time(data, at)""",
    "boolean": "{to} = data[at] != 0\nat += 1",
    "double": "{to}, = double(data, at)\nat += 8",
}

_FIRST = """\
{to}, count = None, data[at]
at += 1
if count & 129:
    count, at = block(data, at - 1)
if count:
    {to} = {table}_BY_BYTE[data[at]]
    if {to} is None:
        {to}, at = symbol(data, at, {table})"""

_FROM_BINARY = (
    *("LONG", "SPAN", "THERE", "TIMES", "block", "branches", "double", "long", "present"),
    *("recurring_read", "span", "symbol", "time"),
)


def reader(shape: Members, recurring: frozenset[type], instead: Instead | None = None) -> Read:
    """The function that reads `shape`; records of classes in `recurring` are remembered, and what
    `instead` says is made of those it names."""
    names = {name: getattr(binary, name) for name in _FROM_BINARY}
    reading = _Reading(Text(names), recurring, instead or {})
    reading.record(shape)
    function = f"read_{shape.name}"
    read: Read = reading.text.function(function, f"retold {shape.name}" if instead else function)
    return read


class _Reading:
    def __init__(self, text: Text, recurring: frozenset[type], instead: Instead) -> None:
        self.text = text
        self._recurring = recurring
        self._instead = instead
        self._skipping = Skipping(text)

    def record(self, shape: Members) -> str:
        """The name of the record's reader, which is in the text from here on."""
        function, name = f"read_{shape.name}", shape.name
        if not self.text.claim(function):
            return function
        fields, told = shape.fields, self._instead.get(shape.record)
        if told is not None:
            fields = left_out(shape, told)
        made = self._made(shape) if told is None else self._retold(name, told)
        body = [line for field, of in fields for line in self._value(f"{field}_", of)]
        self.text.put(0, f"def {function}(data, at):")
        self.text.put(1, *body, f"return {made}, at")
        if shape.record in self._recurring:
            self.text.put(0, f"{function} = recurring_read({function})")
        return function

    def _made(self, shape: Members) -> str:
        """What makes the record of its members' locals."""
        name = shape.name
        self.text.names[name] = shape.record
        if not shape.fields:  # one value serves for all
            self.text.names[f"the_{name}"] = shape.record()
            return f"the_{name}"
        members = [field for field, of in shape.fields if not isinstance(of, Unread)]
        return f"{name}({', '.join(f'{field}={field}_' for field in members)})"

    def _retold(self, name: str, told: Retelling) -> str:
        """What makes of them what is told instead."""
        if not told.members:
            self.text.names[f"the_{name}"] = told.make()
            return f"the_{name}"
        self.text.names[f"make_{name}"] = told.make
        parts = [f"{member}_" for member in told.members]
        for at, member in enumerate(told.members):
            if member in told.turned:
                self.text.names[f"turn_{name}_{member}"] = told.turned[member]
                parts[at] = f"turn_{name}_{member}({parts[at]})"
        return f"make_{name}({', '.join(parts)})"

    def _value(self, to: str, shape: Shape) -> list[str]:
        """Lines that read a value into the local `to`."""
        match shape:
            case Scalar(kind=kind):
                return _SCALARS[kind].format(to=to).splitlines()
            case Symbols(name=name, members=members):
                by_byte = binary.by_byte(members)
                self.text.names |= {name: members, f"{name}_BY_BYTE": by_byte}
                call = f"symbol(data, at, {name})"
                return _BY_TABLE.format(to=to, table=f"{name}_BY_BYTE", call=call).splitlines()
            case Maybe(of=of):
                call = "present(data, at)"
                there = _BY_TABLE.format(to=to, table="THERE", call=call).splitlines()
                value = self._value(to, of)
                return [*there, f"if {to}:", *indented(value), "else:", *indented([f"{to} = None"])]
            case Items(of=of):
                return self._items(to, of)
            case Entries(of=of):
                return self._entries(to, of)
            case OneOf(branches=branches):
                readers = ", ".join(self.record(branch) for branch in branches)
                table = self.text.later(f"branches(({readers},))")
                return [f"{to}, at = {table}[data[at]](data, at + 1)"]
            case Members():
                return [f"{to}, at = {self.record(shape)}(data, at)"]
            case Unread(of=of):
                return self._skipping.value(of)
            case First(of=OneOf(branches=branches)):
                classes = [branch.record for branch in branches]
                table = f"{to}classes"
                self.text.names |= {table: classes, f"{table}_BY_BYTE": binary.by_byte(classes)}
                return _FIRST.format(to=to, table=table).splitlines()

    def _items(self, to: str, of: Shape) -> list[str]:
        item = f"{to}item"
        block = [*BLOCKS.splitlines(), *indented(self._value(item, of), 2)]
        some = [f"{to} = []", *block, *indented([f"{to}.append({item})"], 2), f"{to} = tuple({to})"]
        return ["if data[at] == 0:", *indented([f"{to} = ()", "at += 1"]), "else:", *indented(some)]

    def _entries(self, to: str, of: Shape) -> list[str]:
        key, item = f"{to}key", f"{to}item"
        entry = [*self._value(key, Scalar("string")), *self._value(item, of)]
        return [
            f"{to} = {{}}",
            *BLOCKS.splitlines(),
            *indented([*entry, f"{to}[{key}] = {item}"], 2),
        ]
