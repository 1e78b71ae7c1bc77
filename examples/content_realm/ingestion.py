"""`content.ingest_file`: a document becomes an artifact, counts and an event.

The extraction is a step: once it is recorded, no later delivery reads the document again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from examples.content_realm.extraction import EXTRACTORS
from pydantic import BaseModel

from symphainy import (
    Artifacts,
    Context,
    Determinism,
    Event,
    Outcome,
    Realm,
    Reference,
    Retry,
    StateChange,
    TerminalError,
)

Kind = Literal["pdf", "csv", "fixed_width"]
DOCUMENTS = Path(__file__).resolve().parent.parent / "documents"
KINDS: dict[str, Kind] = {".pdf": "pdf", ".csv": "csv", ".dat": "fixed_width"}

realm = Realm("content")


class IngestFile(BaseModel):
    """Which document to ingest: a path inside the documents folder; its kind, if not told by it."""

    path: str
    kind: Kind | None = None


class Extracted(BaseModel):
    """What the extraction recorded: where the content lies, and what was counted in it."""

    artifact: str
    content: Reference
    counts: dict[str, int]


@realm.intent(
    "content.ingest_file",
    retry=Retry(attempts=5, initial="1s", factor=2.0, maximum="1m"),
    timeout="2m",
    determinism=Determinism.DETERMINISTIC,
)
async def ingest_file(ctx: Context, payload: IngestFile) -> Outcome:
    """Extract a document's text or rows."""
    path = find(payload.path)
    kind = payload.kind or kind_of(path)
    await ctx.progress(f"reading {path.name} as {kind}")
    found = await ctx.step("extract", extract, ctx.artifacts, path, kind)
    told = {"path": payload.path, "kind": kind, **found.counts}
    return Outcome(
        artifacts={found.artifact: found.content},
        events=[Event("file.ingested", told)],
        state_changes=[StateChange(f"file/{path.name}", {"kind": kind, "content": found.content})],
        result=told,
    )


async def extract(artifacts: Artifacts, path: Path, kind: Kind) -> Extracted:
    """Read the document beside the event loop, and store what it says."""
    extractor = EXTRACTORS[kind]
    extraction = await asyncio.to_thread(extractor.read, path)
    name = extractor.artifact
    reference = await artifacts.put(name, extraction.content, media_type=extractor.media_type)
    return Extracted(artifact=name, content=reference, counts=extraction.counts)


def find(path: str) -> Path:
    """The document at `path`, which must not lead out of the documents folder."""
    found = (DOCUMENTS / path).resolve()
    if not found.is_relative_to(DOCUMENTS):
        raise TerminalError(f"{path!r} leads out of the documents.", code="path_not_allowed")
    if not found.is_file():
        raise TerminalError(f"There is no document {path!r}.", code="file_not_found")
    return found


def kind_of(path: Path) -> Kind:
    """The kind that a document's suffix tells."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise TerminalError(
            f"{path.name} does not tell its kind; say which: {', '.join(KINDS.values())}.",
            code="unknown_kind",
        )
    return kind
