"""Responses with their bytes already made. They know no route and no document.

Starlette's own responses encode and copy headers per request; these take them as they go out.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
PROBLEM_JSON = b"application/problem+json"
Headers = tuple[tuple[bytes, bytes], ...]
_encoder = msgspec.json.Encoder()


class Reply(Response):
    """A status, a body and its media type, ready to be sent."""

    def __init__(
        self, status: int, body: bytes, media_type: bytes = JSON, headers: Headers = ()
    ) -> None:
        """`headers` are added to content type and length; names in lower case."""
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]


def json_reply(status: int, document: Any, headers: Headers = ()) -> Reply:
    """A reply of the document as JSON."""
    return Reply(status, _encoder.encode(document), JSON, headers)
