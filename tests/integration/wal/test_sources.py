"""The same query, asked of the index, of Kafka and of the archive, gives the same rows.

- Every filter, and filters together: the rows are those that the journal has, found by looking at
  each of its records, byte for byte in all three.
- Rows come in the order of their places, each once, however they are cut into pages.
- Records that do not count have no rows, wherever reading begins; to know which, little is read.
- A tenant's query has no row of another's, whatever else it names.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace
from tests.integration.wal.conftest import PARTITIONS, Site
from tests.support.journals import LIVE, TENANTS, TYPES

from symphainy_runtime.journal.documents import event_document
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.wal.answering import Source, Wal
from symphainy_runtime.wal.query import Query
from symphainy_runtime.wal.rows import Row, row_of_document, with_type
from symphainy_schemas.events import IntentReceived

LOGS = (Source.KAFKA, Source.ARCHIVE)
ALL = (Source.INDEX, *LOGS)


@pytest.fixture(scope="session")
def truth(site: Site) -> list[Row]:
    """Every row, by the filter that every reader applies, from the first record on."""
    rows: list[Row] = []
    types: dict[str, str] = {}
    for history in site.histories:
        p, standing = history.partition, Validity()
        for offset, value in enumerate(history.values):
            stored = judge(value, offset, standing)
            standing = stored.standing
            if not stored.valid or stored.record is None:
                continue
            first = stored.record.events[0] if stored.record.events else None
            if isinstance(first, IntentReceived):
                types[stored.record.execution_id] = first.intent_type
            rows += [
                row_of_document(
                    msgspec.json.encode(event_document(stored.record, p, offset, n, event)), None
                )
                for n, event in enumerate(stored.record.events)
            ]
    return [with_type(row, types.get(row.execution_id)) for row in rows]


@pytest.fixture(scope="session")
def wals(site: Site) -> Iterator[dict[Source, Wal]]:
    made = {one: Wal(site.settings, f"test-{one}", source=one) for one in Source}
    yield made
    for one in made.values():
        one.close()


def told(rows: list[Row]) -> list[bytes]:
    return [msgspec.json.encode(row) for row in rows]


def same(
    wals: dict[Source, Wal], truth: list[Row], query: Query, sources: tuple[Source, ...] = ALL
) -> list[Row]:
    """What all sources answer; that it is what stands in the journal."""
    expected = [row for row in truth if query.matches(row)]
    for source in sources:
        found = list(wals[source].rows(query))
        assert told(found) == told(expected), f"{source}: {query}"
    return expected


def middle(truth: list[Row], tenant: str) -> Row:
    mine = [row for row in truth if row.tenant_id == tenant]
    return mine[len(mine) // 2]


def test_a_tenants_events_are_the_same_three_ways(
    wals: dict[Source, Wal], truth: list[Row]
) -> None:
    count = sum(len(same(wals, truth, Query(tenant_id=tenant))) for tenant in TENANTS)
    assert count == sum(bool(row.tenant_id) for row in truth)


def test_everything_is_the_same_from_kafka_and_the_archive(
    wals: dict[Source, Wal], truth: list[Row], site: Site
) -> None:
    assert all(history.stale for history in site.histories)
    assert len(same(wals, truth, Query(), LOGS)) == len(truth)


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_filter_gives_the_same_three_ways(
    wals: dict[Source, Wal], truth: list[Row], tenant: str
) -> None:
    one = middle(truth, tenant)
    child = next(r for r in truth if r.type == "child_invoked" and r.tenant_id == tenant)
    mine = Query(tenant_id=tenant)
    for query in (
        replace(mine, execution_id=one.execution_id),
        replace(mine, session_id=one.session_id),
        replace(mine, correlation_id=child.correlation_id),
        replace(mine, parent=f"{child.partition}-{child.offset}"),
        replace(mine, intent_type=TYPES[0]),
        replace(mine, event_type="step_checkpointed"),
        replace(mine, from_ms=one.at, to_ms=one.at + 5_000),
        replace(mine, to_ms=one.at),
        replace(mine, partition=one.partition),
        replace(mine, partition=one.partition, from_offset=one.offset, to_offset=one.offset + 300),
        replace(mine, session_id=one.session_id, intent_type=TYPES[1], from_ms=one.at),
        replace(mine, event_type="execution_failed", intent_type=TYPES[2]),
    ):
        assert same(wals, truth, query) or query.parent, query


def test_an_execution_and_a_session_are_answered_without_kafka(
    wals: dict[Source, Wal], truth: list[Row]
) -> None:
    one = middle(truth, "acme")
    for query in (
        Query(execution_id=one.execution_id),
        Query(tenant_id="acme", session_id=one.session_id),
    ):
        same(wals, truth, query, (Source.AUTO,))
        assert set(wals[Source.AUTO].query(query).read) == {"index"}


def test_pages_have_each_row_once(wals: dict[Source, Wal], truth: list[Row]) -> None:
    expected = told([row for row in truth if row.tenant_id == "rival"])
    for source in ALL:
        query, found = Query(tenant_id="rival", limit=97), []
        while True:
            answer = wals[source].query(query)
            assert len(answer.rows) <= 97
            found += answer.rows
            if answer.cursor is None:
                break
            query = replace(query, cursor=answer.cursor)
        assert told(found) == expected, source


def test_pages_that_end_early_lose_nothing(wals: dict[Source, Wal], truth: list[Row]) -> None:
    expected = told([row for row in truth if row.type == "execution_failed"])
    for source in LOGS:
        query, found, pages = Query(event_type="execution_failed", limit=1_000), [], 0
        while True:
            answer = wals[source].query(query, most_records=500)
            found += answer.rows
            pages += 1
            if answer.cursor is None:
                break
            query = replace(query, cursor=answer.cursor)
        assert told(found) == expected, source
        assert pages > 2


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_what_counts_is_known_wherever_reading_begins(
    site: Site, truth: list[Row], partition: int
) -> None:
    end = len(site.histories[partition].values)
    for start in range(0, end, max(1, end // 15)):
        query = Query(partition=partition, from_offset=start, to_offset=min(end, start + 200))
        expected = [row for row in truth if query.matches(row)]
        with Wal(site.settings, "test-fresh", source=Source.KAFKA) as fresh:
            assert told(list(fresh.rows(query))) == told(expected), start


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_a_range_reads_little_besides(site: Site, truth: list[Row], partition: int) -> None:
    end = len(site.histories[partition].values)
    besides = []
    for start in range(end // 2, end - 100, max(1, end // 30)):
        query = Query(partition=partition, from_offset=start, to_offset=start + 100, limit=2_000)
        with Wal(site.settings, "test-fresh", source=Source.AUTO) as fresh:
            answer = fresh.query(query)
        assert told(answer.rows) == told([row for row in truth if query.matches(row)]), start
        besides.append(answer.read["kafka"].records - 100)
    assert len(besides) > 5
    # What owners had in flight here; and two records that are looked at.
    assert sorted(besides)[len(besides) // 2] <= 2 * LIVE, besides


@pytest.mark.parametrize("source", [Source.AUTO, *LOGS])
def test_a_tenant_sees_nothing_of_another(
    wals: dict[Source, Wal], truth: list[Row], source: Source
) -> None:
    other = middle(truth, "rival")
    for query in (
        Query(tenant_id="acme", session_id=other.session_id),
        Query(tenant_id="acme", correlation_id=other.correlation_id, event_type="step_started"),
        Query(tenant_id="acme"),
    ):
        rows = list(wals[source].rows(query))
        assert {row.tenant_id for row in rows} <= {"acme"}
