"""SQL over the archive reads what is committed, and nothing else that there is.

- The tables hold the rows that every other source gives.
- A tenant's name narrows what there is, whatever the statement says.
- Nothing but one query is taken; no file, setting or extension is within reach.
- A statement that cannot be read says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.wal.conftest import Site
from tests.support.journals import TENANTS

from symphainy_runtime.wal.answering import Source, Wal
from symphainy_runtime.wal.archive.files import Archive
from symphainy_runtime.wal.archive.sql import ArchiveSql
from symphainy_runtime.wal.query import Query
from symphainy_schemas.errors import CallerError


@pytest.fixture(scope="module")
def tables(site: Site) -> Iterator[ArchiveSql]:
    archive = Archive(site.settings.archive_location())
    (journal,) = archive.journals()
    with ArchiveSql(archive, journal) as made:
        yield made


def test_the_tables_hold_the_rows(tables: ArchiveSql, site: Site) -> None:
    with Wal(site.settings, "test", source=Source.ARCHIVE) as wal:
        rows = list(wal.rows(Query()))
    names, found = tables.ask("SELECT type, count(*) AS n FROM events GROUP BY type")
    assert names == ["type", "n"]
    assert dict(map(tuple, found)) == Counter(row.type for row in rows)
    _, found = tables.ask("SELECT execution_id, tenant_id, intent_type, events FROM executions")
    told = {row[0]: tuple(row[1:]) for row in found}
    count = Counter(row.execution_id for row in rows if row.execution_id)
    first = {row.execution_id: row for row in reversed(rows)}
    assert told == {
        name: (first[name].tenant_id, first[name].intent_type, n) for name, n in count.items()
    }


def test_members_of_events_are_in_reach(tables: ArchiveSql) -> None:
    _, found = tables.ask(
        "SELECT DISTINCT data->>'intent_type' = intent_type FROM events "
        "WHERE type = 'intent_received'"
    )
    assert [tuple(row) for row in found] == [(True,)]


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenants_name_narrows_what_there_is(site: Site, tenant: str) -> None:
    archive = Archive(site.settings.archive_location())
    (journal,) = archive.journals()
    with ArchiveSql(archive, journal, tenant) as narrowed:
        _, found = narrowed.ask("SELECT DISTINCT tenant_id FROM events")
        assert [tuple(row) for row in found] == [(tenant,)]
        other = next(one for one in TENANTS if one != tenant)
        _, found = narrowed.ask(f"SELECT count(*) FROM events WHERE tenant_id = '{other}'")
        assert [tuple(row) for row in found] == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('http://127.0.0.1:1/x')",
        "SELECT * FROM duckdb_secrets()",
        "EXPLAIN ANALYZE SELECT * FROM read_csv('{file}')",
    ],
)
def test_no_file_is_within_reach(tables: ArchiveSql, tmp_path: Path, statement: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\nopen,sesame\n")
    with pytest.raises(CallerError) as refused:
        list(tables.ask(statement.format(file=file, folder=tmp_path))[1])
    assert refused.value.code in ("malformed_sql", "sql_failed")
    assert "sesame" not in refused.value.message


@pytest.mark.parametrize(
    "statement",
    [
        "COPY events TO '{file}'",
        "ATTACH '{file}' AS other",
        "EXPORT DATABASE '{file}'",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW executions",
        "INSERT INTO events SELECT * FROM events",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_nothing_but_one_query_is_taken(tables: ArchiveSql, tmp_path: Path, statement: str) -> None:
    file = tmp_path / "out"
    with pytest.raises(CallerError) as refused:
        tables.ask(statement.format(file=file))
    assert refused.value.code in ("not_one_query", "malformed_sql")
    assert not file.exists()
    assert tables.ask("SELECT count(*) FROM executions")[0]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("selec 1", "syntax error"),
        ("SELECT nothing FROM events", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT count(* FROM events", "syntax error"),
    ],
)
def test_a_statement_that_cannot_be_read_says_why(
    tables: ArchiveSql, statement: str, says: str
) -> None:
    with pytest.raises(CallerError, match=says) as refused:
        tables.ask(statement)
    assert (refused.value.code, refused.value.field) == ("malformed_sql", "SQL")


def test_variables_of_the_process_are_no_tables(tables: ArchiveSql) -> None:
    secrets = [{"name": "sesame"}]
    assert secrets
    with pytest.raises(CallerError, match="secrets"):
        tables.ask("SELECT * FROM secrets")


def test_a_table_describes_itself(tables: ArchiveSql) -> None:
    _, found = tables.ask("DESCRIBE events")
    assert {"journal_offset", "time", "data"} <= {row[0] for row in found}
