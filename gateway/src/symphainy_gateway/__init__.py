"""Floor 4: the HTTP gateway. It holds no state of its own but connections and caches."""

from symphainy_gateway.app import create_app
from symphainy_gateway.serving import serve

__all__ = ["create_app", "serve"]
