"""SQL over the archive, by DuckDB: one statement that reads, over what is committed, and nothing
else that there is: no file, no network, no setting is within its reach.

The archive is handed to DuckDB as a data set, not as file names; access to anything outside of the
process is switched off and the switch locked before the statement is looked at. A tenant's name
narrows the data set itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from symphainy_runtime.wal.archive import columns
from symphainy_runtime.wal.archive.files import Archive
from symphainy_runtime.wal.archive.reading import PARQUET
from symphainy_schemas.errors import CallerError

_LOCKED = (
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})
EVENTS = "events"
EXECUTIONS = """
CREATE VIEW executions AS SELECT
    execution_id,
    any_value(tenant_id) AS tenant_id,
    any_value(session_id) AS session_id,
    any_value(intent_type) AS intent_type,
    any_value(correlation_id) AS correlation_id,
    min(time) AS first_at,
    max(time) AS last_at,
    count(*) AS events,
    arg_max(type, journal_offset) FILTER (
        type LIKE 'execution\\_%' ESCAPE '\\' OR type = 'intent_rejected'
    ) AS last_event
FROM events WHERE execution_id <> '' GROUP BY execution_id
"""
ROWS_AT_ONCE = 1_000


class ArchiveSql:
    """A journal's archive as tables. Use as a context manager."""

    def __init__(self, archive: Archive, journal: str, tenant_id: str | None = None) -> None:
        """`tenant_id` None is every tenant.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """
        self._stack = ExitStack()
        self._connection = self._stack.enter_context(duckdb.connect(":memory:"))
        self.files = 0
        fragments = []
        for partition in archive.partitions(journal):
            for file in archive.files(journal, partition):
                opened = self._stack.enter_context(archive.open(file))
                fragments.append(PARQUET.make_fragment(pa.PythonFile(opened, mode="r")))
                self.files += 1
        whole: ds.Dataset = ds.FileSystemDataset(fragments, columns.SCHEMA, PARQUET)
        if tenant_id is not None:
            whole = whole.filter(columns.of_tenants([tenant_id]))
        self._connection.register(EVENTS, whole)
        self._connection.execute(EXECUTIONS)
        for statement in _LOCKED:
            self._connection.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def ask(self, statement: str) -> tuple[list[str], Iterator[Sequence[Any]]]:
        """The names of the answer's columns, and its rows.

        Raises:
            CallerError: `malformed_sql`, `not_one_query`, or `sql_failed`.
        """
        try:
            found = duckdb.extract_statements(statement)
        except duckdb.Error as error:
            raise _refused(error, "malformed_sql") from error
        if len(found) != 1 or found[0].type not in _READING:
            raise CallerError(
                "The archive is read by one SELECT, and by nothing else.",
                code="not_one_query",
                field="SQL",
                cure="State one SELECT or EXPLAIN over events or executions.",
            )
        try:
            result = self._connection.execute(found[0])
        except duckdb.Error as error:
            raise _refused(error, "malformed_sql") from error
        names = [one[0] for one in result.description or ()]
        return names, _rows(result)


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[Sequence[Any]]:
    try:
        while some := result.fetchmany(ROWS_AT_ONCE):
            yield from some
    except duckdb.Error as error:
        raise _refused(error, "sql_failed") from error


def _refused(error: duckdb.Error, code: str) -> CallerError:
    return CallerError(
        str(error).strip(),
        code=code,
        field="SQL",
        cure="The tables are events and executions: `symphainy wal sql 'DESCRIBE events'`.",
    )
