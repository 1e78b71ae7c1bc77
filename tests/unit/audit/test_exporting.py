"""Exports, and verifying them without Kafka.

- What is read back is what was written, byte for byte, with its places and times.
- The command finds what was changed in an export, proves an execution's records from it, and says
  what is no export, what is damaged, and what lacks a key or checkpoints.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.histories import (
    APPENDED_MS,
    IDENTITY,
    PARTITION,
    SIGNER,
    chained_anew,
    evidence_of,
    history,
    numbered,
)
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_runtime.audit.exporting import (
    Exported,
    ExportedJournals,
    ExportUnreadable,
    export_file,
    write_export,
)
from symphainy_runtime.audit.store import Evidence, FolderStore
from symphainy_runtime.audit.verifying import Extent
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import OperatorError, SymphainyError
from symphainy_schemas.events import JournalRecord

EXECUTION = f"exe-{PARTITION}-{'0' * 32}"
PLAIN = history([1, 2, 3, 0, 9, 4, 5, 6])


def of_execution(values: list[bytes], *places: int) -> list[bytes]:
    """The journal, in which some records are of an execution."""
    changed = list(values)
    for at in places:
        record = decode(values[at], JournalRecord)
        changed[at] = encode(replace(record, execution_id=EXECUTION))
    return chained_anew(changed, min(places) + 1)


VALUES = of_execution(PLAIN, 2, 6)


def exported(folder: Path, values: list[bytes], end: int | None = None) -> Path:
    """An export of a journal."""
    about = Exported(IDENTITY, PARTITION, Extent(0, len(values) if end is None else end))
    stored = [(offset, value, APPENDED_MS + offset) for offset, value in numbered(values)]
    write_export(export_file(folder, PARTITION), about, [stored[:3], stored[3:]])
    return folder


def keep_evidence(folder: Path, ends: list[int]) -> None:
    """What an auditor keeps of it."""
    evidence = Evidence(FolderStore(folder))
    for one in evidence_of(numbered(VALUES), ends):
        assert one.leaves is not None
        evidence.keep(IDENTITY, PARTITION, one.number, one.note, one.leaves)


def verify(tmp_path: Path, *arguments: str) -> tuple[int, Any]:
    """`audit verify` of the export: exit code, and what it says in JSON."""
    environment = {
        "SYMPHAINY_DATA_DIR": str(tmp_path),
        "SYMPHAINY_AUDIT_URL": (tmp_path / "evidence").as_uri(),
        "SYMPHAINY_AUDIT_VERIFIER_KEYS": str(SIGNER.verifier),
    }
    command = ["audit", "verify", "--json", "--from-export", str(tmp_path / "export"), *arguments]
    done = CliRunner().invoke(app, command, env=environment)
    if isinstance(done.exception, SymphainyError):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.binary(max_size=50), max_size=20), first=st.integers(0, 2**40))
def test_what_is_read_back_is_what_was_written(
    tmp_path: Path, values: list[bytes], first: int
) -> None:
    path = export_file(tmp_path, PARTITION)
    path.unlink(missing_ok=True)
    stored = [(first + n, value, n) for n, value in enumerate(values)]
    extent = Extent(first, first + len(values))
    assert write_export(path, Exported(IDENTITY, PARTITION, extent), [stored]) == len(values)
    found = ExportedJournals(tmp_path)
    assert (found.identity(), found.partitions()) == (IDENTITY, [PARTITION])
    assert found.extent(PARTITION) == extent
    read = [one for batch in found.read(PARTITION, extent, lambda _: None) for one in batch]
    assert read == stored


def test_an_export_is_not_written_over(tmp_path: Path) -> None:
    exported(tmp_path, VALUES)
    with pytest.raises(OperatorError, match="could not be written"):
        exported(tmp_path, VALUES)


def test_a_sound_export_is_sound_and_its_execution_proven(tmp_path: Path) -> None:
    exported(tmp_path / "export", VALUES)
    keep_evidence(tmp_path / "evidence", [4, 8])
    proof = tmp_path / "proof.json"
    code, told = verify(tmp_path, "--execution", EXECUTION, "--write-proof", str(proof))
    assert (code, told["ok"]) == (0, True)
    assert told["found"] == {"proven": 2, "unanchored": 0, "spoiled": 0, "stale": 0}
    assert [span["first"] for span in told["partitions"][0]["unanchored"]] == [8]
    key = ["--verifier-key", str(SIGNER.verifier)]
    done = CliRunner().invoke(app, ["audit", "verify", "--json", "--proof", str(proof), *key])
    assert [one["offset"] for one in json.loads(done.stdout)["records"]] == [2, 6]


def test_a_changed_export_is_named_and_proves_nothing_there(tmp_path: Path) -> None:
    values = [*VALUES[:2], VALUES[2] + b".", *VALUES[3:]]
    exported(tmp_path / "export", values)
    keep_evidence(tmp_path / "evidence", [4, 8])
    code, told = verify(tmp_path)
    (fault,) = told["partitions"][0]["faults"]
    assert (code, fault["kind"], fault["first"]) == (1, "changed", 2)
    code, told = verify(tmp_path, "--tenant", "tenant-2")
    assert code == 1
    assert told["found"]["proven"] > 0


def test_an_export_that_was_cut_is_named(tmp_path: Path) -> None:
    exported(tmp_path / "export", VALUES[:6], end=6)
    keep_evidence(tmp_path / "evidence", [4, 8])
    code, told = verify(tmp_path)
    (fault,) = told["partitions"][0]["faults"]
    assert (code, fault["kind"], fault["first"], fault["last"]) == (1, "removed", 6, 7)


def test_the_chain_alone_needs_no_evidence(tmp_path: Path) -> None:
    exported(tmp_path / "export", VALUES)
    code, told = verify(tmp_path, "--chain-only")
    assert (code, told["partitions"][0]["anchored"]) == (0, 0)


def test_without_evidence_nothing_is_verified(tmp_path: Path) -> None:
    exported(tmp_path / "export", VALUES)
    with pytest.raises(OperatorError, match="No checkpoint of cluster/"):
        verify(tmp_path)


def test_a_partition_that_is_not_there_is_said(tmp_path: Path) -> None:
    exported(tmp_path / "export", VALUES)
    keep_evidence(tmp_path / "evidence", [4])
    with pytest.raises(SymphainyError, match="no partition 5"):
        verify(tmp_path, "--partition", "5")


@pytest.mark.parametrize("content", [b"", b"Obj", b"Obj\x01rubbish"])
def test_what_is_no_export_is_said(tmp_path: Path, content: bytes) -> None:
    export_file(tmp_path, 0).write_bytes(content)
    with pytest.raises(ExportUnreadable, match="is not an export"):
        ExportedJournals(tmp_path)


def test_an_export_that_ends_early_is_said(tmp_path: Path) -> None:
    path = export_file(exported(tmp_path / "export", VALUES), PARTITION)
    path.write_bytes(path.read_bytes()[:-40])
    keep_evidence(tmp_path / "evidence", [4])
    with pytest.raises(ExportUnreadable, match="is damaged"):
        verify(tmp_path)
