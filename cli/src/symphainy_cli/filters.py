"""Which executions: the filters of a listing, as options of the command line."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

Session = Annotated[str, typer.Option(help="Only of this session.")]
Type = Annotated[str, typer.Option("--type", help="Only of this intent type.")]
Status = Annotated[str, typer.Option(help="Only in this status.")]
From = Annotated[
    str, typer.Option("--from", help="Started at or after: RFC 3339, or ms since the epoch.")
]
To = Annotated[
    str, typer.Option("--to", help="Started at or before: RFC 3339, or ms since the epoch.")
]


class Filters(NamedTuple):
    """Only those that meet all of them; an empty one is met by every execution."""

    session: str = ""
    type: str = ""
    status: str = ""
    from_: str = ""
    to: str = ""

    def query(self) -> dict[str, str]:
        """As the gateway's listing takes them."""
        return {name.strip("_"): value for name, value in self._asdict().items() if value}
