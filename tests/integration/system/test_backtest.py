"""`symphainy policy backtest` over what a real owner decided, on a real Kafka.

- It finds exactly the decisions that a candidate would change: before and after an activation, of
  control intents too, and from the middle of the log; the set in force changes nothing after it.
- It joins no group and writes nothing.
- Ranges, folders and names that are wrong are told in one line, with the cure.
- Ctrl-C ends it, its children too; a Kafka that is away is told.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from confluent_kafka import TopicPartition
from tests.support.judging import READS, killer
from tests.support.policies import intent, policy_set
from tests.support.system import System, eventually, isolated
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_processors.backtesting import earlier, partition
from symphainy_processors.backtesting.partition import Found, Job
from symphainy_processors.backtesting.processes import run_all
from symphainy_processors.backtesting.range import Wanted, spans
from symphainy_runtime.configuration import write_config
from symphainy_runtime.journal import standing
from symphainy_runtime.local import Endpoints
from symphainy_runtime.policy.backtest import Candidate
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.recorded import Reads
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import SymphainyError, Unavailable
from symphainy_schemas.events import IntentReceived, JournalRecord
from symphainy_schemas.records import PLATFORM, Intent, PolicySet
from symphainy_transport.clients import admin, bounds, consumer, producer
from symphainy_transport.topics import CONFIG, DAY_MS, INTENTS, JOURNAL, STATE, Topics

P = 2  # where the sessions live
SESSION = f"ses-{P}-" + "0" * 32
NO_FIVES = (
    "permit(principal, action, resource);\n"
    '@id("no_fives") forbid(principal, action == Action::"work.add", resource)'
    " when { context.priority == 5 };"
)
OWN_TARGETS = (
    NO_FIVES + '\n@id("own_targets") forbid(principal, action in Action::"runtime", resource)'
    " when { context has target && context.target.principal != principal.name };"
)
OWN_SESSIONS = (
    NO_FIVES + '\n@id("own_sessions") forbid(principal, action == Action::"work.add", resource)'
    " unless { context has session && context.session.principal == principal.name };"
)
PRIORITIES = (1, 5, 3, 5)


class Story:
    """What was stated: the intents of each name, in their order."""

    def __init__(self, system: System) -> None:
        self.settings = system.settings
        self.stated: list[Intent] = []
        self._topic = Topics(self.settings.topic_prefix).name(INTENTS)
        self._producer = producer(self.settings, "test-story")
        self.own = policy_set("acme", NO_FIVES)
        write_config(self.settings, self.own)
        system.up("owner")
        self._work("before", "ann")
        for p in range(self.settings.partitions):
            self._activate(p)
        self._settled()
        self._work("after", "ann")
        self._work("other", "bob")
        self._settled()
        first = self.execution("before0")
        for who in ("ann", "bob"):
            payload = {"execution_id": first, "name": "go"}
            self.state(
                intent(
                    "runtime.signal",
                    principal=who,
                    name=f"signal_{who}",
                    session=SESSION,
                    payload=payload,
                ),
                P,
            )
        self._settled()

    def state(self, one: Intent, p: int) -> None:
        """Append it to the write-ahead log."""
        self.stated.append(one)
        self._producer.produce(self._topic, encode(one), partition=p)

    def execution(self, name: str) -> str:
        """The id of an intent's execution."""
        return ids.execution_id("acme", SESSION, name, P)

    def _work(self, label: str, who: str) -> None:
        if label == "before":
            self.state(
                intent("runtime.open_session", principal=who, name="open", session=SESSION), P
            )
        for number, priority in enumerate(PRIORITIES):
            self.state(
                intent(
                    "work.add",
                    principal=who,
                    priority=priority,
                    session=SESSION,
                    name=f"{label}{number}",
                    payload={"numbers": [number]},
                ),
                P,
            )

    def _activate(self, p: int) -> None:
        payload = {"scope": "acme", "version": 1, "sha256": self.own.sha256.hex()}
        self.state(
            intent(
                "runtime.activate_policy",
                tenant=PLATFORM,
                principal="op",
                payload=payload,
                roles=["platform_operator"],
                name="activate",
                session=ids.governing_session("acme", p),
            ),
            p,
        )

    def _settled(self) -> None:
        assert not self._producer.flush(10)
        eventually(
            lambda: len(decided(self.settings)) == len(self.stated), "every intent is decided"
        )


def decided(settings: RuntimeSettings) -> list[JournalRecord]:
    """The journal's records about intents."""
    found = []
    client = consumer(settings, "test-story", auto_offset_reset="earliest")
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    try:
        for p in range(settings.partitions):
            low, high = bounds(client, TopicPartition(topic, p))
            client.assign([TopicPartition(topic, p, low)])
            while low < high:
                for message in client.consume(500, 5):
                    offset, value = message.offset(), message.value()
                    assert offset is not None
                    low = offset + 1
                    record = decode(value, JournalRecord)
                    if record.events and isinstance(record.events[0], IntentReceived):
                        found.append(record)
    finally:
        client.close()
    return found


@pytest.fixture(scope="module")
def story(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A history, whose owner has ended."""
    system = System(isolated(running, tmp_path_factory.mktemp("backtest")))
    try:
        told = Story(system)
    finally:
        system.stop()
    return told


@pytest.fixture
def run(story: Story, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Runs the verb: its exit code, and its JSON or error."""
    for name, value in story.settings.model_dump(mode="json", exclude_defaults=True).items():
        monkeypatch.setenv(f"SYMPHAINY_{name.upper()}", str(value))

    def verb(*arguments: str) -> tuple[int, Any]:
        words = ["policy", "backtest", *map(str, arguments)]
        result = CliRunner().invoke(app, words if "--help" in words else [*words, "--json"])
        if isinstance(result.exception, SymphainyError):
            return 1, result.exception
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return verb


def folder(at: Path, **texts: str) -> Path:
    """A candidate's folder."""
    for stage, text in texts.items():
        (at / f"{stage}.cedar").write_text(text)
    return at


def changed(document: dict[str, Any]) -> dict[str, str]:
    """The changes by the intents' ids."""
    return {
        one["intent_id"]: one["transition"]
        for group in document["groups"]
        for one in group["examples"]
    }


def test_the_set_in_force_changes_only_what_was_decided_before_it(
    run: Any, story: Story, tmp_path: Path
) -> None:
    for given in (("--version", 1), (folder(tmp_path, security_guard=NO_FIVES),)):
        code, found = run("--tenant", "acme", *given, "--limit", 50)
        assert code == 0
        assert changed(found) == {"before1": "allow→deny", "before3": "allow→deny"}
        assert found["looked_at"] == 1 + 3 * len(PRIORITIES) + 2
        assert (found["changed"], found["undetermined"], found["notes"]) == (2, 0, [])
        (group,) = found["groups"]
        assert group["candidate"] == ["acme/security_guard/no_fives"]
        assert group["recorded"][0] == "platform/security_guard/own_tenant"
        named = {example["execution_id"] for example in group["examples"]}
        assert named == {story.execution("before1"), story.execution("before3")}


def test_exactly_the_changed_ones_are_found_and_written(
    run: Any, story: Story, tmp_path: Path
) -> None:
    lines = tmp_path / "changed.jsonl"
    code, found = run(
        "--tenant",
        "acme",
        folder(tmp_path, security_guard=OWN_TARGETS),
        "--limit",
        0,
        "--out",
        lines,
        "--fail-on-change",
        "--url",
        "http://gateway/",
    )
    assert code == 3
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {one["intent_id"] for one in told} == {"before1", "before3", "signal_bob"}
    assert found["changed"] == 3
    assert changed(found) == {}
    everything = folder(tmp_path, security_guard="permit(principal, action, resource);")
    code, found = run("--tenant", "acme", everything, "--limit", 50, "--url", "http://gateway/")
    expected = {f"{label}{n}": "deny→allow" for label in ("after", "other") for n in (1, 3)}
    assert changed(found) == expected
    example = found["groups"][0]["examples"][0]
    assert example["url"] == f"http://gateway/v1/executions/{example['execution_id']}"


def test_the_platforms_candidate_stands_beside_each_tenants_own(run: Any, tmp_path: Path) -> None:
    platform = (
        BUILT_IN.security_guard + '@id("no_signals") forbid(principal, action == '
        'Action::"runtime.signal", resource);'
        '@id("no_ops") forbid(principal == Principal::"platform/op", action, resource);'
    )
    at = folder(
        tmp_path,
        security_guard=platform,
        city_manager=BUILT_IN.city_manager,
        data_steward=BUILT_IN.data_steward,
    )
    code, found = run("--platform", at, "--limit", 50)
    assert code == 0
    by_rule = {group["candidate"][0]: group["count"] for group in found["groups"]}
    assert by_rule == {
        "acme/security_guard/no_fives": 2,  # in force now, and decided before it was
        "platform/security_guard/no_signals": 2,
        "platform/security_guard/no_ops": 4,  # the activation, on every partition
    }
    assert found["looked_at"] == 1 + 3 * len(PRIORITIES) + 2 + 4


def test_a_range_of_offsets_is_looked_at_and_no_more(run: Any, tmp_path: Path) -> None:
    at = folder(tmp_path, security_guard=NO_FIVES)
    # intents[P]: open, before0 … before3, the activation, …
    for first, last, wanted, count in (
        (2, 3, {"before1"}, 1),
        (0, 4, {"before1"}, 4),
        (3, 6, {"before3"}, 2),
    ):
        code, found = run(
            "--tenant", "acme", at, "--partition", P, "--from-offset", first, "--to-offset", last
        )
        assert code == 0
        assert (set(changed(found)), found["looked_at"]) == (wanted, count)


def test_nothing_is_written_and_no_group_is_joined(run: Any, story: Story, tmp_path: Path) -> None:
    def everything() -> Any:
        client = consumer(story.settings, "test-ends")
        topics = Topics(story.settings.topic_prefix)
        try:
            ends = {
                (name, p): bounds(client, TopicPartition(topics.name(name), p))
                for name in (INTENTS, JOURNAL, STATE, CONFIG)
                for p in range(1 if name == CONFIG else story.settings.partitions)
            }
        finally:
            client.close()
        groups = admin(story.settings).list_consumer_groups().result().valid
        return ends, sorted(group.group_id for group in groups)

    before = everything()
    run("--tenant", "acme", folder(tmp_path, security_guard=OWN_SESSIONS))
    assert everything() == before


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("state", [True, False])
def test_facts_from_before_the_range_are_looked_up(
    story: Story, monkeypatch: pytest.MonkeyPatch, near: bool, state: bool
) -> None:
    if not near:
        monkeypatch.setattr(standing, "LOOK_BACK", 0)
    if not state:
        monkeypatch.setattr(earlier, "states", lambda *_: {})
    monkeypatch.setattr("symphainy_processors.backtesting.range.SKEW_MS", -1)
    own = policy_set("acme", OWN_SESSIONS)
    wanted = Wanted(partitions=(P,), from_offset=10, to_offset=14)  # bob's, in ann's session
    told: list[Any] = []
    for span in spans(story.settings, wanted):
        assert span.start > 5
        partition.run(job(story.settings, span, own), told.append)
    (found,) = [one for one in told if isinstance(one, Found)]
    tally = found.tally
    if near or state:
        assert (tally.looked_at, tally.changed, tally.undetermined) == (4, 2, 0)
    else:  # two are forbidden whatever the session says; that, too, is not known without it
        assert (tally.looked_at, tally.changed, tally.undetermined) == (4, 0, 4)
    assert bool(found.notes) == (not near)


def job(settings: RuntimeSettings, span: Any, own: PolicySet) -> Job:
    """A job of one partition."""
    return Job(
        settings=settings,
        span=span,
        candidate=Candidate(scope="acme", platform=BUILT_IN, tenants={"acme": own}),
        reads=READS,
        tenants={},
        examples=3,
        lines=False,
        window_ms=7 * DAY_MS,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--tenant", "nobody", "--version", "1"), "tenant_not_found", "nobody"),
        (("--tenant", "acme", "--version", "7"), "policy_not_found", "it holds: 1"),
        (("--tenant", "acme"), "no_candidate", "folder"),
        (("--version", "1"), "no_scope", "tenant"),
        (("--tenant", "acme", "--platform", "--version", "1"), "no_scope", "tenant"),
        (("--tenant", "acme", "--version", "1", "--since", "soon"), "malformed_option", "soon"),
        (("--tenant", "acme", "--version", "1", "--partition", "9"), "malformed_option", "9"),
        (("--tenant", "acme", "--version", "1", "--from-offset", "9"), "malformed_option", "one"),
        (
            ("--tenant", "acme", "--version", "1", "--partition", "2", "--from-offset", "9000"),
            "range_not_kept",
            "keeps the offsets 0 to",
        ),
        (
            (
                "--tenant",
                "acme",
                "--version",
                "1",
                "--partition",
                "2",
                "--from-offset",
                "3",
                "--to-offset",
                "3",
            ),
            "empty_range",
            "below 3",
        ),
        (
            (
                "--tenant",
                "acme",
                "--version",
                "1",
                "--since",
                "2020-01-01",
                "--until",
                "2020-01-02T00:00:00Z",
            ),
            "empty_range",
            "The journal keeps what was decided from 20",
        ),
        (("--tenant", "acme", "--version", "1", "--out", "/nowhere/x"), "malformed_option", "out"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(
    run: Any, arguments: tuple[str, ...], code: str, says: str
) -> None:
    exit_code, error = run(*arguments)
    assert isinstance(error, SymphainyError), error
    assert (exit_code, error.code) == (1, code)
    assert says in f"{error.message} {error.field}"
    assert error.cure
    assert error.field


def test_a_malformed_policy_names_stage_and_cause(run: Any, tmp_path: Path) -> None:
    _, error = run("--tenant", "acme", folder(tmp_path, city_manager="permit(principal);"))
    assert (error.code, error.field) == ("policy_malformed", "city_manager")
    assert "no Cedar" in error.message
    empty = tmp_path / "empty"
    empty.mkdir()
    _, error = run("--tenant", "acme", empty)
    assert error.code == "no_candidate"
    assert "security_guard.cedar" in error.cure


def test_a_kafka_that_is_away_is_told(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symphainy_processors.owner.kafka.ranges.STALL_S", 0.5)
    monkeypatch.setattr("symphainy_processors.owner.kafka.ranges.BOUNDS_TIMEOUT_S", 0.5)
    away = story.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:9"})
    (span,) = spans(story.settings, Wanted(partitions=(P,)))
    with pytest.raises(Unavailable) as raised:
        partition.run(job(away, span, policy_set("acme", NO_FIVES)), lambda _: None)
    assert raised.value.cure


def test_a_child_that_is_killed_is_told(story: Story) -> None:
    (span,) = spans(story.settings, Wanted(partitions=(P,)))
    asking = job(story.settings, span, policy_set("acme", OWN_TARGETS))
    killed = msgspec.structs.replace(asking, reads=Reads(killer, READS.scope))
    with pytest.raises(Unavailable, match="killed"):
        run_all([killed], 2, lambda _: None, lambda _: None)


def test_ctrl_c_ends_it_and_its_children(story: Story, tmp_path: Path) -> None:
    at = folder(tmp_path, security_guard=NO_FIVES)
    told = story.settings.model_dump(mode="json", exclude_defaults=True)
    environment = {**os.environ, **{f"SYMPHAINY_{k.upper()}": str(v) for k, v in told.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", "symphainy_cli", "policy", "backtest", str(at), "--tenant", "acme"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs in the background of a shell ignores it, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    seen: list[psutil.Process] = []

    def reading() -> bool:
        seen[:] = psutil.Process(process.pid).children(recursive=True)
        return any("spawn_main" in " ".join(child.cmdline()) for child in seen)

    eventually(reading, "children read")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert time.monotonic() - began < 20
    assert process.returncode == 130, words
    assert "Traceback" not in words
    eventually(lambda: not any(child.is_running() for child in seen), "no child is left")
