"""Readers and writers of Avro, made once a process from a schema and the record that mirrors it.

Why own code. Every record of every topic passes here, and the fold of a journal is to reach 100,000
events a second on one core. fastavro, a C library, answers dicts; making them from frozen records
and those from them costs more than Avro itself, and its unions look a branch up by its name.
Measured (CPython 3.11, one core, µs a record, best of many runs of the same record):

                                            fastavro and dicts    made here
                                            write      read       write      read
    journal record, admission, 4 events     31.0       31.9       7.2        9.4
    journal record, success, 3 events       25.5       22.9       4.6        7.2
    intent                                   9.8        9.2       2.1        3.2
    task                                    13.5       12.4       3.2        5.8
    step report                             11.3       10.0       2.0        3.6
    state of an execution                   43.8       27.3       7.3       12.5

Reading 6,000 different journal records of these two kinds: about 100,000 events a second by
fastavro and dicts; here 350,000 at 20 admissions a ms, 280,000 if hardly a time recurs.

How. `shapes` holds a schema against its record class. `reading` and `writing` turn that into the
source of plain functions, one a record class, which work on the bytes with the tables of `binary`.
Only schemas from this package become source, and only their identifiers stand in it.

fastavro stays the reference: tests hold both against each other for every record, whole and
damaged. What is read here, fastavro reads to the same record; what it does not read, this does not.
Where Avro's specification is stricter than fastavro, this is too: no number of more than 64 bits,
no negative index of a symbol or branch, which fastavro counts from the end, and no block of -2**63
items, which fastavro takes for empty. A double is no long here; fastavro would cut it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from symphainy_schemas.avro_code.binary import Read, Write
from symphainy_schemas.avro_code.glancing import Narrow, glanced, narrowing
from symphainy_schemas.avro_code.reading import reader
from symphainy_schemas.avro_code.retelling import Instead, Retelling, retold
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


def compiled_glance(schema: Any, glance: type, habits: Habits) -> tuple[Read, Narrow]:
    """The reader of a glance (`glancing`), and what makes it of a record that was read whole.

    Whatever `compiled` reads, it reads to the same members; the index that it answers is behind the
    last of them.

    Raises:
        TypeError: `glance` is no glance at the schema's record.
    """
    record: type = glance.of  # type: ignore[attr-defined]
    shape = glanced(shape_of(schema, record, habits.times), glance)
    return reader(shape, habits.recurring), narrowing(glance)


def compiled_retelling(schema: Any, record: type, habits: Habits, instead: Instead) -> Read:
    """The reader of `record` that makes what `instead` says (`retelling`). It reads what `compiled`
    reads, and refuses what that refuses.

    Raises:
        TypeError: schema and record do not mirror each other.
    """
    return reader(shape_of(schema, record, habits.times), habits.recurring, instead)


__all__ = [
    "Habits",
    "Instead",
    "Narrow",
    "Read",
    "Retelling",
    "Write",
    "compiled",
    "compiled_glance",
    "compiled_retelling",
    "retold",
]
