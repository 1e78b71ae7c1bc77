"""`asyncapi.yaml` in the repository is what the topics and schemas say."""

from __future__ import annotations

from pathlib import Path

from symphainy_cli import asyncapi
from symphainy_schemas import codec

ROOT = Path(__file__).parents[3]


def test_the_document_is_up_to_date() -> None:
    told = "run: python -m symphainy_cli.asyncapi > asyncapi.yaml"
    assert (ROOT / "asyncapi.yaml").read_text() == asyncapi.text(), told


def test_every_schema_file_that_it_names_is_there() -> None:
    messages = asyncapi.document()["components"]["messages"]
    assert len(messages) == len(codec.SCHEMA_FILES)
    for message in messages.values():
        assert (ROOT / message["payload"]["schema"]["$ref"]).is_file()
