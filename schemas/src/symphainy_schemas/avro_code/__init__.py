"""Readers and writers of Avro, made once a process from a schema and the record that mirrors it.

Why own code. Every record of every topic passes here, and the fold of a journal is to reach 100,000
events a second on one core. fastavro, a C library, answers dicts; making them from frozen records
and those from them costs more than Avro itself, and its unions look a branch up by its name.
Measured (CPython 3.11, one core, µs a record):

                                            fastavro and dicts    made here
                                            write      read       write      read
    journal record, admission, 4 events     31.3       32.2       5.6        9.1
    journal record, success, 3 events       25.8       23.2       4.3        6.9
    intent                                   9.8        9.3       1.9        3.0
    task                                    14.0       12.6       3.1        5.4
    step report                             11.6       10.0       1.8        3.4
    state of an execution                   44.3       27.7       7.1       12.1

How. `shapes` holds a schema against its record class. `reading` and `writing` turn that into the
source of plain functions, one a record class, which work on the bytes with the tables of `binary`.
Only schemas from this package become source, and only their identifiers stand in it.

fastavro stays the reference: tests hold both against each other for every record, whole and
damaged. What is read here, fastavro reads to the same record; what it does not read, this does not.
Where Avro's specification is stricter than fastavro, this is too: no number of more than 64 bits,
and no negative index of a symbol or branch, which fastavro counts from the end.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from symphainy_schemas.avro_code.binary import Read, Write
from symphainy_schemas.avro_code.reading import reader
from symphainy_schemas.avro_code.shapes import shape_of
from symphainy_schemas.avro_code.writing import writer


class Habits(Struct, frozen=True):
    """What is likely of the records: it makes them quicker, never different.

    `times` names fields whose values many records share, in ms since the epoch; `recurring` are
    classes whose records come again with the very same members.
    """

    times: frozenset[str] = frozenset()
    recurring: frozenset[type] = frozenset()


def compiled(schema: Any, record: type, habits: Habits) -> tuple[Read, Write]:
    """The reader and writer of `record` by `schema`, which is Avro's JSON.

    The reader takes bytes and an index and answers the record and the index behind it, which lies
    beyond the end if the bytes ended early. Bytes that do not fit make it raise `ValueError`,
    `IndexError` or `struct.error`. The writer adds pieces of bytes to a list. A member of a wrong
    type makes it, or joining the pieces, raise `TypeError`, `AttributeError`, `KeyError` or
    `struct.error`; an int of more than 64 bits `OverflowError`.

    Raises:
        TypeError: schema and record do not mirror each other.
    """
    shape = shape_of(schema, record, habits.times)
    return reader(shape, habits.recurring), writer(shape)


__all__ = ["Habits", "Read", "Write", "compiled"]
