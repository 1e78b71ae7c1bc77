"""The command line's verbs: told without being imported, and imported one at a time.

- What stands of a verb in the table is what the verb itself says, and nothing is missing there.
- Every role has its module.
- A process imports nothing that its verb does not use: an owner's start is part of a takeover.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_group
from typer.testing import CliRunner

from symphainy_cli.lazily import load
from symphainy_cli.main import app
from symphainy_cli.up import Role
from symphainy_cli.verbs import VERBS, imported

# Runs a verb until it finds nothing configured, then tells which packages were imported.
RUN = """
import sys
from symphainy_cli.main import app
from symphainy_schemas.errors import OperatorError
try:
    app(sys.argv[1:], standalone_mode=False)
except OperatorError as error:
    print(error.code, *{name.partition(".")[0] for name in sys.modules})
"""
SERVERS = {"fastapi", "starlette", "granian", "uvloop", "prometheus_client"}
FOR_PEOPLE = {"rich", "pygments", "yaml"}


def packages(folder: Path, *arguments: str) -> set[str]:
    """The error that ends the verb, and the packages that its process had imported by then."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SYMPHAINY_")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_an_owner_imports_only_what_it_uses(tmp_path: Path) -> None:
    found = packages(tmp_path, "up", "owner")
    assert {"kafka_not_configured", "confluent_kafka", "rocksdict"} <= found
    others = {"aiokafka", "httpx", "obstore", "psutil", "redis", "symphainy"}
    assert not found & (SERVERS | FOR_PEOPLE | others)


def test_a_projector_imports_no_server(tmp_path: Path) -> None:
    found = packages(tmp_path, "up", "projector")
    assert {"redis_not_configured", "confluent_kafka", "redis"} <= found
    assert not found & (SERVERS | FOR_PEOPLE | {"aiokafka", "rocksdict", "obstore", "symphainy"})


def test_a_question_to_the_gateway_imports_no_client_of_kafka(tmp_path: Path) -> None:
    found = packages(tmp_path, "executions", "show", "exe-0-0")
    assert {"gateway_not_configured", "httpx"} <= found
    others = {"aiokafka", "confluent_kafka", "fastavro", "obstore", "redis", "rocksdict"}
    assert not found & (SERVERS | others)


def test_the_list_of_verbs_imports_none(tmp_path: Path) -> None:
    tell = "import sys, symphainy_cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", tell], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    ours = {name for name in done.stdout.split() if name.startswith("symphainy")}
    assert ours == {
        "symphainy_cli",
        "symphainy_cli.lazily",
        "symphainy_cli.main",
        "symphainy_cli.verbs",
        "symphainy_schemas",
        "symphainy_schemas.errors",
    }


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_says_of_itself_what_the_list_says(name: str) -> None:
    command = imported(name)
    assert command.name == name
    assert command.help.split("\n\n")[0].replace("\n", " ") == VERBS[name].help
    assert (command.hidden, command.deprecated, command.short_help) == (False, False, None)


@pytest.mark.parametrize("module", sorted({verb.module for verb in VERBS.values()}))
def test_a_module_adds_no_verb_that_is_not_listed(module: str) -> None:
    holder = typer.Typer()
    load(module).register(holder)
    assert set(get_group(holder).commands) == {
        name for name, verb in VERBS.items() if verb.module == module
    }


def test_help_lists_every_verb_in_order() -> None:
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "160"}).stdout
    places = [told.index(f" {name} ") for name in VERBS]
    assert places == sorted(places)
    assert all(verb.help in told for verb in VERBS.values())


def test_a_verbs_own_help_is_the_real_ones() -> None:
    told = CliRunner().invoke(app, ["up", "--help"], env={"COLUMNS": "160"}).stdout
    assert "Which role this process plays." in told
    told = CliRunner().invoke(app, ["topics", "create", "--help"], env={"COLUMNS": "160"}).stdout
    assert "A further topic setting" in told


def test_a_misspelt_verb_is_answered_with_a_known_one() -> None:
    told = CliRunner().invoke(app, ["doctro"])
    assert told.exit_code == 2
    assert "Did you mean 'doctor'?" in told.output


@pytest.mark.parametrize("role", Role)
def test_every_role_can_be_played(role: Role) -> None:
    assert callable(load(f"roles.{role}").play)
