"""The example realms do what their documents say.

- Each document of the folder is extracted in full: every page, row and record.
- A path that leads out of the folder, or to nothing, is refused for good.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from examples.content_realm import extraction
from examples.content_realm.ingestion import DOCUMENTS, ingest_file
from examples.hello_realm import greet
from tests.unit.sdk.fakes import run

from symphainy.invocation import Succeeded
from symphainy_schemas.records import Checkpoint


@pytest.mark.parametrize(
    ("path", "counts", "artifact"),
    [
        ("handbook.pdf", {"kind": "pdf", "pages": 6, "words": 1048}, "text"),
        ("permits.csv", {"kind": "csv", "rows": 203, "columns": 10}, "rows"),
        ("policies.dat", {"kind": "fixed_width", "records": 104, "fields": 10}, "rows"),
    ],
)
async def test_a_document_is_ingested(path: str, counts: dict[str, Any], artifact: str) -> None:
    payload = json.dumps({"path": path}).encode()
    called = await run(ingest_file, payload)
    assert called.result == {"path": path, **counts}
    assert isinstance(called.end, Succeeded)
    ((name, reference),) = [(a.name, a.reference) for a in called.end.artifacts]
    assert name == artifact
    assert reference.size > 1_000
    (event,) = called.end.events
    assert (event.type, json.loads(event.data)) == ("file.ingested", {"path": path, **counts})
    ((step, recorded),) = called.supervision.recorded
    again = await run(ingest_file, payload, checkpoints=(Checkpoint(step, recorded),))
    assert again.end == called.end
    assert again.supervision.recorded == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../hello_realm.py", "path_not_allowed"),
        ("/etc/hostname", "path_not_allowed"),
        ("sub/../../hello_realm.py", "path_not_allowed"),
        ("link.pdf", "path_not_allowed"),
        ("missing.pdf", "file_not_found"),
        (".", "file_not_found"),
        ("README.md", "unknown_kind"),
    ],
)
async def test_only_documents_are_read(path: str, code: str, link: Path) -> None:
    called = await run(ingest_file, json.dumps({"path": path}).encode())
    assert (called.error.code, called.error.retryable) == (code, False)


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A documents folder with a link that leads out of it."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "README.md").write_text("no document")
    (tmp_path / "outside.pdf").write_bytes(b"%PDF")
    (folder / "link.pdf").symlink_to(tmp_path / "outside.pdf")
    monkeypatch.setattr("examples.content_realm.ingestion.DOCUMENTS", folder)
    return folder


async def test_a_document_of_another_kind_is_refused() -> None:
    payload = json.dumps({"path": "permits.csv", "kind": "pdf"}).encode()
    assert (await run(ingest_file, payload)).error.code == "unreadable_document"


def test_fixed_width_fields_have_their_types() -> None:
    rows = extraction.read_fixed_width(DOCUMENTS / "policies.dat").content.splitlines()
    assert json.loads(rows[1]) == {
        "policy_number": "LF04100074",
        "holder_name": "SILVA MIRA",
        "product_code": "TERM",
        "start_date": "2017-02-12",
        "end_date": None,
        "annual_premium": "2088.92",
        "sum_insured": 135779,
        "claims_count": 0,
        "branch": "SUED02",
        "status": "A",
    }


async def test_hello_greets() -> None:
    called = await run(greet, b'{"name":"Ann"}')
    assert called.result == {"greeting": "Hello, Ann!"}
