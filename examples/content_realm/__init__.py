"""A real realm: ingests documents. `symphainy worker examples.content_realm:realm` runs it."""

from examples.content_realm.ingestion import realm

__all__ = ["realm"]
