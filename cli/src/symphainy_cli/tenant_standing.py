"""`symphainy tenant suspend|resume`: whether a tenant's intents are taken at all."""

from __future__ import annotations

from typing import Annotated

import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.everywhere import everywhere, require_taken
from symphainy_cli.output import Json, out, show_json
from symphainy_cli.tenants import Id, app
from symphainy_runtime.policy.actions import RESUME_TENANT, SUSPEND_TENANT

Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]


@app.command()
def suspend(tenant: Id, reason: Reason = "", json: Json = False) -> None:
    """Take none of a tenant's intents any more, and begin nothing of what it has.

    What runs goes on to its end and is recorded; what waits keeps waiting. Returns when every
    partition has decided it; once more does no harm.
    """
    _stand(SUSPEND_TENANT, tenant, reason, json, "suspended")


@app.command()
def resume(tenant: Id, reason: Reason = "", json: Json = False) -> None:
    """Take a suspended tenant's intents again; everything goes on where it stands."""
    _stand(RESUME_TENANT, tenant, reason, json, "resumed")


def _stand(what: str, tenant: str, reason: str, json: bool, done: str) -> None:
    verdicts = everywhere(kafka_settings(), what, tenant, {"reason": reason})
    require_taken(verdicts)
    if json:
        show_json({"tenant_id": tenant, "standing": done, "partitions": verdicts})
    else:
        out.print(f"{tenant} is {done} on {len(verdicts)} partitions", highlight=False)
