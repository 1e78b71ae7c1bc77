"""Settings as people may see them. Nothing secret gets past here."""

from __future__ import annotations

import re
from typing import cast

from pydantic import SecretStr

SET = "(set)"
_PASSWORD = re.compile(r"(://[^/@\s]*?:)[^/\s]*@")
# Names of librdkafka's properties that hold a secret: sasl.password, ssl.key.pem, …
_SECRET = re.compile(r"password|secret|key\.pem|ssl_key|token|jaas", re.IGNORECASE)


def shown(value: object) -> str:
    """A setting's value. A secret shows only that it is set; so does a password within a URL, and
    a property of a client that is one."""
    if isinstance(value, SecretStr):
        return SET if value.get_secret_value() else ""
    if isinstance(value, dict):
        properties = cast(dict[object, object], value)
        return str({k: SET if _SECRET.search(str(k)) else v for k, v in properties.items()})
    return _PASSWORD.sub(rf"\1{SET}@", str(value))
