"""The archive has each offset once, whatever happens while it is written.

- An export that is killed goes on when it is run again; nothing half written counts.
- Two archivers at once write each offset once.
- A file without its commit does not count; what is not the journal that was archived is refused.
- Kafka that stops in the middle is told, and what was committed stays.
- What Kafka no longer keeps is answered from the archive, with the rest from Kafka; what neither
  has is said.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from tests.integration.wal.conftest import PARTITIONS, Site, append, archive
from tests.support.journals import History
from tests.support.system import eventually, isolated

from symphainy_runtime.audit import reading
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.journal.chain import JournalTampered
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.answering import HistoryExpired, Source, Wal
from symphainy_runtime.wal.archive.archiver import Archiver
from symphainy_runtime.wal.archive.files import Archive, Commit
from symphainy_runtime.wal.query import Query
from symphainy_runtime.wal.rows import Row
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import JOURNAL, Topics

pytestmark = pytest.mark.timeout(300)


def made(running: Endpoints, folder: Path, events: int = 1_500, records: int = 50) -> Site:
    """A journal that is not archived yet."""
    settings = isolated(running, folder).model_copy(
        update={"partitions": 2, "archive_records": records, "archive_interval_s": 0.1}
    )
    Cluster(settings).create()
    histories = [History(p, 11, SystemClock().now_ms()) for p in range(2)]
    for history in histories:
        history.grow(events // 2)
    append(settings, histories)
    return Site(settings, histories)


def offsets(site: Site) -> dict[int, list[tuple[int, int]]]:
    """The ranges of the files that count."""
    kept = Archive(site.settings.archive_location())
    (journal,) = kept.journals()
    return {
        p: [(one.first, one.last) for one in kept.files(journal, p)]
        for p in kept.partitions(journal)
    }


def assert_each_once(site: Site) -> None:
    """Every offset is in one file, and the rows are those that Kafka gives."""
    for history in site.histories:
        ranges = offsets(site)[history.partition]
        ends = [0, *(last + 1 for _, last in ranges)]
        assert [first for first, _ in ranges] == ends[:-1]
        assert ends[-1] == len(history.values)
    assert rows(site.settings, Source.ARCHIVE) == rows(site.settings, Source.KAFKA)


def rows(settings: RuntimeSettings, source: Source, query: Query | None = None) -> list[Row]:
    with Wal(settings, f"test-{source}", source=source) as wal:
        return list(wal.rows(query or Query()))


def test_an_export_that_is_killed_goes_on(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path, events=6_000, records=20)
    told = site.settings.model_dump(mode="json", exclude_defaults=True)
    environment = {f"SYMPHAINY_{name.upper()}": str(value) for name, value in told.items()}
    folder = tmp_path / "archive"

    for _ in range(2):
        assert not _killed_in_the_middle(environment, folder), "it ended before it was killed"
    archive(site.settings)
    assert_each_once(site)


def _killed_in_the_middle(environment: dict[str, str], folder: Path) -> bool:
    """Export, and kill that once it has committed something; whether it had ended by itself."""

    def commits() -> int:
        return len(list(folder.rglob("*.commit")))

    before = commits()
    child = subprocess.Popen(
        [sys.executable, "-m", "symphainy_cli", "wal", "export", "--processes", "1"],
        env=environment,
    )
    eventually(
        lambda: child.poll() is not None or commits() > before, "a file was committed, or all were"
    )
    child.send_signal(signal.SIGKILL)
    return child.wait() == 0


def test_two_archivers_write_each_offset_once(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path)
    url = site.settings.archive_location()
    both = [
        Archiver(site.settings, Archive(url), SystemClock(), f"test-{number}")
        for number in range(2)
    ]
    for one in both:
        one.start()  # both stand at the start of the log
    threads = [threading.Thread(target=one.catch_up) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in both:
        one.close()
        assert not one.halted
    assert_each_once(site)
    records = sum(one.exported.records for one in both)
    assert records == sum(len(history.values) for history in site.histories)


def test_a_file_without_its_commit_does_not_count(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path)
    archiver = Archiver(
        site.settings, Archive(site.settings.archive_location()), SystemClock(), "test"
    )
    journal = archiver.source.journals.identity()
    archiver.close()
    folder = tmp_path / "archive" / journal / "partition=0"
    folder.mkdir(parents=True)
    for last in (9, 30, 49):
        left = folder / f"{0:020d}-{last:020d}.{'0' * 16}.parquet"
        left.write_bytes(b"PAR1 half a file")
    (folder / f".{0:020d}-{9:020d}.{'1' * 16}.parquet.77").write_bytes(b"PAR1")
    archive(site.settings)
    assert_each_once(site)


def test_the_role_archives_what_comes(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path, records=100_000)
    archiver = Archiver(
        site.settings, Archive(site.settings.archive_location()), SystemClock(), "test-role"
    )
    ready = threading.Event()
    thread = threading.Thread(target=archiver.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(60)
        wanted = sum(len(history.values) for history in site.histories)
        eventually(lambda: archiver.exported.records == wanted, "all is archived")
    finally:
        archiver.stop()
        thread.join()
    assert_each_once(site)


def test_another_journal_than_was_archived_is_refused(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path)
    archive(site.settings)
    kept = Archive(site.settings.archive_location())
    (journal,) = kept.journals()
    last = kept.last(journal, 0)
    assert last is not None
    beyond = Commit(
        file="",
        first=last.last + 1,
        last=last.last + 10,
        records=10,
        rows=0,
        bytes=0,
        term=last.term,
        seq=last.seq,
        offset=last.offset,
        hash=last.hash,
        written_at=0,
    )
    kept.keep(journal, 0, b"", beyond)  # as if Kafka had lost its end since
    archiver = Archiver(site.settings, kept, SystemClock(), "test")
    archiver.start()
    archiver.close()
    assert isinstance(archiver.halted[0], JournalTampered)
    assert list(archiver.halted) == [0]


def test_what_kafka_no_longer_keeps_comes_from_the_archive(
    running: Endpoints, tmp_path: Path
) -> None:
    site = made(running, tmp_path)
    whole = rows(site.settings, Source.KAFKA)
    archive(site.settings)
    cut = len(site.histories[0].values) // 2
    delete_before(site.settings, 0, cut)
    with Wal(site.settings, "test", source=Source.AUTO) as wal:
        answer = wal.query(Query(limit=len(whole)))
        assert (answer.rows, answer.cursor, answer.notes) == (whole, None, [])
        assert set(answer.read) == {"archive", "kafka"}
        some = Query(partition=0, from_offset=cut - 20, to_offset=cut + 20)
        assert list(wal.rows(some)) == [row for row in whole if some.matches(row)]
    with Wal(site.settings, "test", source=Source.KAFKA) as wal:
        with pytest.raises(HistoryExpired, match=f"begins at offset {cut}"):
            wal.query(Query(partition=0, from_offset=cut - 1))
        found = list(wal.rows(Query(partition=0)))
        expected = [row for row in whole if row.partition == 0 and row.offset >= cut]
        assert [row.place for row in found] == [row.place for row in expected]
        with pytest.raises(CallerError, match="beyond the log") as refused:
            wal.query(Query(partition=0, from_offset=10**9))
        assert refused.value.code == "offset_out_of_range"


def test_what_nobody_has_is_said(running: Endpoints, tmp_path: Path) -> None:
    site = made(running, tmp_path)
    cut = 70
    with Wal(site.settings, "test", source=Source.AUTO) as wal:
        delete_before(site.settings, 0, cut)
        with pytest.raises(HistoryExpired, match=f"begins at offset {cut}"):
            wal.query(Query(partition=0, from_offset=0))
        with pytest.raises(HistoryExpired, match="no longer kept"):
            wal.query(Query(partition=0, from_ms=1_000))
        answer = wal.query(Query(partition=0, limit=10_000))
        assert answer.rows[0].offset >= cut
    assert archive(site.settings).exported.lost == []  # nothing was archived before: it begins here
    delete_before(site.settings, 1, cut)
    kept = len(site.histories[1].values)
    site.histories[1].grow(site.histories[1].events + 300)
    more = site.histories[1].values[kept:]
    append(site.settings, [_only(site.histories[1], more)])
    delete_before(site.settings, 1, kept + 5)
    exported = archive(site.settings).exported
    assert exported.lost == [(1, kept, kept + 4)]
    with Wal(site.settings, "test", source=Source.ARCHIVE) as wal:
        answer = wal.query(Query(partition=1, limit=100_000))
    assert answer.notes == [
        f"Partition 1: offsets {kept} to {kept + 4} are neither in Kafka nor archived."
    ]


def test_kafka_that_stops_in_the_middle_is_told_and_the_rest_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STALL_S", 2.0)
    monkeypatch.setattr(reading, "TIMEOUT_S", 2.0)
    with LocalServices(tmp_path / "services") as endpoints:
        site = made(endpoints, tmp_path / "data")
        kept = Archive(site.settings.archive_location())
        once = threading.Event()
        first = Archiver(site.settings, kept, SystemClock(), "test-first", once)
        first.start()
        first.catch_up(lambda _: once.set())
        first.close()
        archiver = Archiver(site.settings, kept, SystemClock(), "test")
        archiver.start()
    with pytest.raises(Unavailable):
        archiver.catch_up()
    archiver.close()
    assert {p: len(ranges) for p, ranges in offsets(site).items()} == {0: 1}
    with LocalServices(tmp_path / "services") as endpoints:
        told = {"kafka_bootstrap_servers": endpoints.bootstrap_servers}
        again = Site(site.settings.model_copy(update=told), site.histories)
        archive(again.settings)
        assert_each_once(again)


def delete_before(settings: RuntimeSettings, partition: int, offset: int) -> None:
    """As retention does."""
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    client = admin(settings)
    (done,) = client.delete_records([TopicPartition(topic, partition, offset)]).values()
    assert done.result(30).low_watermark == offset


def _only(history: History, values: list[bytes]) -> History:
    """The same partition, with these records to append."""
    one = History.__new__(History)
    one.partition, one.values = history.partition, values
    return one


def test_there_are_as_many_partitions_as_this_suite_believes(site: Site) -> None:
    assert len(site.histories) == PARTITIONS
