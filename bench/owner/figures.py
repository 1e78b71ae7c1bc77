"""What a benchmark found: figures with their targets, and what each was compared with."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. A target is `at_most` or `at_least`; `beside` is the same measure of what
    it is compared with, in the same run."""

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    beside: float | None = None
    beside_what: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return known if self.met is None else {**known, "met": self.met}


@dataclass(slots=True)
class Report:
    """The figures of one benchmark, and whatever else explains them."""

    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"figures": [one.as_json() for one in self.figures], "details": self.details}


def circumstances(load: float) -> dict[str, Any]:
    """When and where figures were measured, as it is kept; `load` is the machine's before, which is
    what others did besides."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
    }


def keep(report: Report, load: float, out: Path) -> None:
    """Write the figures and their circumstances where they are to be kept, and say where."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({**circumstances(load), **report.as_json()}, indent=1) + "\n")
    print(f"kept in {out}")


def table(title: str, report: Report) -> Table:
    """The figures, to print."""
    shown = Table(title=title, title_justify="left")
    for column in ("", "figure", "unit", "target", "beside", "ratio"):
        shown.add_column(column, justify="left" if column in ("", "unit", "beside") else "right")
    for one in report.figures:
        beside = "" if one.beside is None else f"{one.beside:g} {one.beside_what}"
        ratio = f"{one.value / one.beside:.2f}" if one.beside else ""
        mark = {None: "", True: "met", False: "MISSED"}[one.met]
        shown.add_row(
            one.what, f"{one.value:g}", one.unit, f"{one.target} {mark}".strip(), beside, ratio
        )
    return shown
