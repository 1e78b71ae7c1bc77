"""What is sent: a JSON object of about 300 bytes, the same for every pipeline."""

from __future__ import annotations

from typing import Any

import msgspec


def payload(run_id: str) -> dict[str, Any]:
    """A small order."""
    n = sum(run_id.encode())
    return {
        "run_id": run_id,
        "customer": f"customer-{n % 50:03d}",
        "order": f"order-{n % 1000:06d}",
        "items": [{"sku": f"sku-{i:04d}", "quantity": i, "price": 1999} for i in range(3)],
        "note": "x" * 60,
    }


def encoded(run_id: str) -> bytes:
    """The payload's bytes."""
    return msgspec.json.encode(payload(run_id))
