"""A journal in files, byte for byte: Avro object container files, one for each partition.

`journal-<partition>.avro` holds records of (offset, appended_ms, value), `value` being the stored
bytes; its header says of which journal it is (`symphainy.identity`), which partition, and what
Kafka kept when it was made (`symphainy.start`, `symphainy.end`). Any Avro library reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
from msgspec import Struct

from symphainy_runtime.audit.reading import BATCH, Read
from symphainy_runtime.audit.verifying import Extent
from symphainy_schemas.errors import CallerError, OperatorError

_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "StoredRecord",
    "namespace": "symphainy.audit",
    "doc": "A record of a journal's partition, as Kafka stores it.",
    "fields": [
        {"name": "offset", "type": "long", "doc": "Its offset."},
        {"name": "appended_ms", "type": "long", "doc": "Kafka's time of it, ms since the epoch."},
        {"name": "value", "type": "bytes", "doc": "Its stored bytes."},
    ],
}
_META = "symphainy."


class ExportUnreadable(CallerError):
    """A file is not an export of a journal, or ends early."""

    code = "export_unreadable"


class Exported(Struct, frozen=True):
    """What an export's header says."""

    identity: str
    partition: int
    extent: Extent


def export_file(folder: Path, partition: int) -> Path:
    """Where a partition's export stands."""
    return folder / f"journal-{partition}.avro"


def write_export(
    path: Path,
    about: Exported,
    batches: Iterable[list[Read]],
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write one partition's records; how many. `progress` is told how many more were written.

    Raises:
        OperatorError: the file is there already, or could not be written.
    """
    meta = {
        f"{_META}identity": about.identity,
        f"{_META}partition": str(about.partition),
        f"{_META}start": str(about.extent.start),
        f"{_META}end": str(about.extent.end),
    }
    count = 0

    def records() -> Iterator[dict[str, Any]]:
        nonlocal count
        for batch in batches:
            count += len(batch)
            progress(len(batch))
            yield from (
                {"offset": offset, "appended_ms": appended_ms, "value": value}
                for offset, value, appended_ms in batch
            )

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            fastavro.writer(file, fastavro.parse_schema(_SCHEMA), records(), metadata=meta)
    except OSError as error:
        raise OperatorError(
            f"{path} could not be written: {error.strerror}",
            code="export_not_written",
            cure="Name a folder that is not there yet, or is empty, on a disk with room.",
        ) from error
    return count


class ExportedJournals:
    """The partitions of an export: a folder of files, or one file."""

    def __init__(self, path: Path) -> None:
        """Read the headers.

        Raises:
            ExportUnreadable: there is none, or they are of different journals.
        """
        files = sorted(path.glob("journal-*.avro")) if path.is_dir() else [path]
        self._files = {}
        identities = set()
        for file in files:
            about = _about(file)
            self._files[about.partition] = (file, about)
            identities.add(about.identity)
        if len(identities) != 1:
            what = "holds exports of different journals" if identities else "holds no export"
            raise ExportUnreadable(
                f"{path} {what}.", cure="Name what `symphainy audit export` wrote."
            )
        (self._identity,) = identities

    def identity(self) -> str:
        """`<cluster id>/<topic>/<topic id>` of the journal."""
        return self._identity

    def partitions(self) -> list[int]:
        """Those that were exported."""
        return sorted(self._files)

    def extent(self, partition: int) -> Extent:
        """What Kafka kept when it was made.

        Raises:
            ExportUnreadable: the partition was not exported.
        """
        return self._file(partition)[1].extent

    def retention_ms(self) -> int | None:
        """An export does not know what should still have been there."""
        return None

    def read(
        self, partition: int, extent: Extent, on_damage: Callable[[int], None]
    ) -> Iterator[list[Read]]:
        """The records in batches.

        Raises:
            ExportUnreadable: the file ends early, or is damaged.
        """
        path, _ = self._file(partition)
        with path.open("rb") as file:
            reader = _reader(path, file)
            batch: list[Read] = []
            try:
                for one in reader:
                    batch.append((one["offset"], one["value"], one["appended_ms"]))
                    if len(batch) == BATCH:
                        yield batch
                        batch = []
            except (ValueError, EOFError, KeyError) as error:
                raise ExportUnreadable(f"{path} is damaged: {error}") from error
            if batch:
                yield batch

    def close(self) -> None:
        """Nothing is open between reads."""

    def _file(self, partition: int) -> tuple[Path, Exported]:
        try:
            return self._files[partition]
        except KeyError as error:
            raise ExportUnreadable(
                f"Partition {partition} is not in the export.", field="partition"
            ) from error


def _about(path: Path) -> Exported:
    try:
        with path.open("rb") as file:
            meta = _reader(path, file).metadata
        told = {key.removeprefix(_META): text for key, text in meta.items()}
        return Exported(
            told["identity"],
            int(told["partition"]),
            Extent(int(told["start"]), int(told["end"])),
        )
    except (OSError, KeyError, ValueError) as error:
        raise ExportUnreadable(f"{path} is not an export of a journal: {error}") from error


def _reader(path: Path, file: BinaryIO) -> Any:
    try:
        return fastavro.reader(file)
    except (ValueError, EOFError, KeyError) as error:
        raise ExportUnreadable(f"{path} is not an export of a journal: {error}") from error
