"""Documents to text or rows (NDJSON, one JSON object a line). Knows no runtime but its errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from symphainy import TerminalError

NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a document says, and what was counted in it."""

    content: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Extractor:
    """How one kind of document is read, and what its content is called."""

    read: Callable[[Path], Extraction]
    artifact: str
    media_type: str


class Field(BaseModel):
    """One field of a fixed-width record; `start` counts from 1, as copybooks do."""

    name: str
    start: int
    length: int
    type: Literal["text", "integer", "decimal", "date", "filler"]
    scale: int = 0


class Layout(BaseModel):
    """The layout of a fixed-width file."""

    record_length: int
    encoding: str
    fields: list[Field]


def read_pdf(path: Path) -> Extraction:
    """The text of all pages, a form feed between two."""
    try:
        pages = [page.extract_text() for page in PdfReader(path).pages]
    except PyPdfError as error:
        raise TerminalError(
            f"{path.name} cannot be read: {error}", code="unreadable_document"
        ) from error
    words = sum(len(page.split()) for page in pages)
    return Extraction("\f".join(pages), {"pages": len(pages), "words": words})


def read_csv(path: Path) -> Extraction:
    """The rows under the names of the first line, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            rows = list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise _bad_line(path, reader.line_num, str(error)) from error
        if any(None in row or None in row.values() for row in rows):
            raise _bad_line(path, reader.line_num, "a row has more or fewer fields than the first")
        columns = reader.fieldnames or ()
    return Extraction(_ndjson(rows), {"rows": len(rows), "columns": len(columns)})


def read_fixed_width(path: Path) -> Extraction:
    """The records under the names of the layout that lies beside the file."""
    layout = _layout(path.with_suffix(".layout.json"))
    lines = path.read_text(encoding=layout.encoding).splitlines()
    records = [_record(layout, path, number, line) for number, line in enumerate(lines, 1)]
    fields = sum(field.type != "filler" for field in layout.fields)
    return Extraction(_ndjson(records), {"records": len(records), "fields": fields})


EXTRACTORS = {
    "pdf": Extractor(read_pdf, "text", "text/plain"),
    "csv": Extractor(read_csv, "rows", NDJSON),
    "fixed_width": Extractor(read_fixed_width, "rows", NDJSON),
}


def _layout(path: Path) -> Layout:
    try:
        return Layout.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise TerminalError(f"There is no layout {path.name}.", code="layout_not_found") from error
    except ValidationError as error:
        raise TerminalError(f"{path.name} is no layout: {error}", code="bad_layout") from error


def _record(layout: Layout, path: Path, number: int, line: str) -> dict[str, Any]:
    if len(line) != layout.record_length:
        raise _bad_line(path, number, f"{len(line)} characters, not {layout.record_length}")
    record: dict[str, Any] = {}
    for field in layout.fields:
        text = line[field.start - 1 : field.start - 1 + field.length]
        if field.type != "filler":
            try:
                record[field.name] = _value(field, text)
            except (ValueError, InvalidOperation) as error:
                raise _bad_line(path, number, f"{field.name} is no {field.type}") from error
    return record


def _value(field: Field, text: str) -> str | int | None:
    """A field's value; decimals as text, since JSON readers would round them."""
    match field.type:
        case "integer":
            return int(text)
        case "decimal":
            return str(Decimal(text).scaleb(-field.scale))
        case "date":
            return date.fromisoformat(text).isoformat() if text.strip("0") else None
        case _:
            return text.rstrip()


def _bad_line(path: Path, number: int, what: str) -> TerminalError:
    return TerminalError(f"{path.name}, line {number}: {what}.", code="unreadable_document")


def _ndjson(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
