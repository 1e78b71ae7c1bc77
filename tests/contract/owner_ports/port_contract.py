"""Invariants of `ports.Port`.

- Completions of a partition's appends come in their order, with the offset and the log's time.
- Callbacks come only out of `serve`, `flush` and `gather`, and may append and send themselves.
- A task, dead letter or intent is in its topic when its callback comes, which comes once; an intent
  and a marker reach their partition, a notice the topic that every worker reads.
- While the log does not answer, appends end in doubt, in order; sends, letters and intents wait for
  it.
- `len` counts what awaits its completion; `flush` tells how much still does when time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from msgspec.structs import replace
from tests.contract.owner_ports.harness import PARTITIONS, REALM, Harness, until
from tests.samples import REPORT, SAMPLES, TASK

from symphainy_processors.owner.ports import Port
from symphainy_schemas.codec import decode
from symphainy_schemas.records import (
    CancelNotice,
    DeadLetter,
    Intent,
    ReportKind,
    StepReport,
    Task,
)

Answer = tuple[int | None, int]
TASKS = f"tasks.{REALM}"
NOTICE = cast(CancelNotice, SAMPLES["cancel-notice"])
LETTER = cast(DeadLetter, SAMPLES["dead-letter"])
INTENT = cast(Intent, SAMPLES["intent"])


class PortContract:
    """What every adapter's port keeps."""

    def test_appends_complete_in_order_with_offset_and_time(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        began = harness.now_ms()
        answers: dict[int, list[Answer]] = {0: [], 3: []}
        for number in range(300):
            for p, given in answers.items():
                port.append(p, b"k", b"%d" % number, lambda *answer, to=given: to.append(answer))
        until(harness, lambda: not len(port), "all is acknowledged", lambda: port.serve(0.02))
        for p, given in answers.items():
            assert [offset for offset, _ in given] == list(range(300))
            times = [at for _, at in given]
            assert times == sorted(times)
            assert began <= times[0] <= times[-1] <= harness.now_ms()
            stored = [x.value for x in harness.read("journal") if x.partition == p]
            assert stored == [b"%d" % number for number in range(300)]

    def test_callbacks_come_only_when_the_port_is_served(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        serving: list[Callable[[], object]] = [
            partial(port.serve, 0.02),
            partial(port.flush, 0.02),
            partial(port.gather, 0.02),
        ]
        for number, serve in enumerate(serving):
            answers: list[Answer] = []
            sent: list[str] = []
            port.append(0, b"k", b"v", lambda *answer, to=answers: to.append(answer))
            port.send(TASK, lambda _, to=sent: to.append("task"))  # type: ignore[misc]
            port.dead_letter(LETTER, lambda to=sent: to.append("letter"))  # type: ignore[misc]
            until(
                harness,
                lambda n=number: (  # type: ignore[misc]
                    len(harness.read("journal")) > n
                    and len(harness.read(TASKS)) > n
                    and len(harness.read("dead-letters")) > n
                ),
                "everything is in its topic",
                harness.go_on,
            )
            assert (answers, sent) == ([], [])
            assert len(port) == 3
            until(harness, lambda: not len(port), "everything is acknowledged", serve)
            assert answers[0][0] == number
            assert sorted(sent) == ["letter", "task"]

    def test_a_completion_may_append_and_send(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        answers: list[int | None] = []
        sent: list[int] = []

        def appended(number: int, offset: int | None, _: int) -> None:
            answers.append(offset)
            port.send(replace(TASK, delivery=number), lambda _: sent.append(number))
            if number < 50:
                port.append(0, b"k", b"%d" % (number + 1), partial(appended, number + 1))

        port.append(0, b"k", b"0", partial(appended, 0))
        until(harness, lambda: len(sent) == 51, "all is sent", lambda: port.serve(0.02))
        assert answers == list(range(51))
        values = [entry.value for entry in harness.read(TASKS)]
        assert sorted(decode(value, Task).delivery for value in values if value) == list(range(51))

    def test_what_is_sent_arrives_as_it_was(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        sent: list[str] = []
        port.next_turn()
        port.send(TASK, lambda taken: sent.append("task" if taken else "doubt"))
        port.next_turn()
        port.dead_letter(LETTER, lambda: sent.append("letter"))
        until(harness, lambda: len(sent) == 2, "both are sent", lambda: port.serve(0.02))
        assert [decode(x.value or b"", Task) for x in harness.read(TASKS)] == [TASK]
        letters = harness.read("dead-letters")
        assert [decode(x.value or b"", DeadLetter) for x in letters] == [LETTER]

    def test_an_intent_reaches_its_partition_as_it_was(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        sent: list[int] = []
        for p in reversed(range(PARTITIONS)):
            stated = replace(INTENT, intent_id=f"child-{p}")
            port.submit(p, stated, lambda p=p: sent.append(p))  # type: ignore[misc]
        assert (sent, len(port)) == ([], PARTITIONS)
        until(harness, lambda: not len(port), "they are stated", lambda: port.serve(0.02))
        assert sorted(sent) == list(range(PARTITIONS))
        found = [(x.partition, x.key, x.value) for x in harness.read("intents")]
        assert [(p, key) for p, key, _ in found] == [
            (p, INTENT.session_id.encode()) for p in range(PARTITIONS)
        ]
        assert [decode(value or b"", Intent) for *_, value in found] == [
            replace(INTENT, intent_id=f"child-{p}") for p in range(PARTITIONS)
        ]
        port.serve(0.02)
        assert len(sent) == PARTITIONS, "an intent was acknowledged twice"

    def test_intents_of_a_partition_stand_in_their_order(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        sent: list[int] = []
        for number in range(50):
            stated = replace(INTENT, intent_id=f"child-{number}")
            port.submit(1, stated, lambda n=number: sent.append(n))  # type: ignore[misc]
        until(harness, lambda: not len(port), "they are stated", lambda: port.serve(0.02))
        stood = [decode(x.value or b"", Intent).intent_id for x in harness.read("intents")]
        assert stood == [f"child-{number}" for number in range(50)]
        assert sent == list(range(50))

    def test_a_notice_reaches_every_worker(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        notices = [replace(NOTICE, delivery=number) for number in range(5)]
        for notice in notices:
            port.notify(notice)
        assert len(port) == 5
        until(harness, lambda: not len(port), "they are sent", lambda: port.serve(0.02))
        found = [decode(x.value or b"", CancelNotice) for x in harness.read("cancels")]
        assert sorted(found, key=lambda x: x.delivery) == notices

    def test_a_marker_reaches_its_partitions_steps(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        marker = replace(REPORT, kind=ReportKind.MARKER)
        for p in range(PARTITIONS):
            port.mark(p, replace(marker, at=p))
        until(harness, lambda: not len(port), "the markers are sent", lambda: port.serve(0.02))
        found = [(x.partition, decode(x.value or b"", StepReport)) for x in harness.read("steps")]
        assert found == [(p, replace(marker, at=p)) for p in range(PARTITIONS)]

    def test_the_largest_decision_fits(self, harness: Harness) -> None:
        port = harness.owner("o1").port
        answers: list[int | None] = []
        value = bytes(1_000_000)  # `journal.writer.MAX_RECORD_BYTES`
        port.append(0, b"e" * 40, value, lambda offset, _: answers.append(offset))
        until(harness, lambda: answers, "it is answered", lambda: port.serve(0.02))
        assert answers == [0]

    def test_a_log_that_does_not_answer_is_doubt_for_appends_and_tasks(
        self, harness: Harness
    ) -> None:
        port = harness.owner("o1").port
        answers: list[tuple[int, int | None, int]] = []
        sent: list[str] = []
        _warm_up(harness, port)
        before = len(harness.read("journal"))
        tasks = len(harness.read(TASKS))
        for topic in ("cancels", "intents"):  # the reader knows the topics before the freeze
            assert len(harness.read(topic)) == 1

        harness.freeze()
        for number in range(20):
            port.append(0, b"k", b"%d" % number, lambda o, at, n=number: answers.append((n, o, at)))  # type: ignore[misc]
            port.serve(0.001)
        told: list[bool] = []
        port.send(TASK, told.append)
        port.dead_letter(LETTER, lambda: sent.append("letter"))
        port.submit(2, INTENT, lambda: sent.append("intent"))
        port.notify(NOTICE)
        assert port.flush(0.05) == len(port) >= 24
        until(harness, lambda: len(answers) == 20, "all are in doubt", lambda: port.serve(0.02))
        assert answers == [(number, None, 0) for number in range(20)]
        assert sent == []
        until(harness, lambda: told, "the task is in doubt", lambda: port.serve(0.02))
        assert told == [False]
        assert len(port) == 3

        harness.thaw()
        until(harness, lambda: len(port) == 0, "the others are sent", lambda: port.serve(0.02))
        assert sorted(sent) == ["intent", "letter"]
        assert told == [False], "it is told of once, and not sent again"
        assert len(harness.read(TASKS)) <= tasks + 1
        assert len(harness.read("cancels")) == 2
        stated = [(x.partition, decode(x.value or b"", Intent)) for x in harness.read("intents")]
        assert len(stated) >= 2  # what was in doubt may stand twice
        assert all(one == (2, INTENT) for one in stated)
        again: list[int | None] = []
        until(
            harness,
            lambda: [offset for offset in again if offset is not None],
            "appends are certain again",
            lambda: _append_and_wait(port, again),
        )
        stored = [entry.value for entry in harness.read("journal")][before:]
        landed = [int(value) for value in stored if value is not None and value != b"again"]
        assert len(set(landed)) == len(landed), "a doubtful append landed twice"
        assert harness.read("journal")[-1].offset == again[-1]
        assert port.flush(10.0) == 0


def _warm_up(harness: Harness, port: Port) -> None:
    """Connected, and told which topics there are: a world that does not answer tells nothing."""
    done: list[str] = []
    port.append(0, b"", b"-1", lambda *_: done.append("append"))
    port.send(TASK, lambda _: done.append("task"))
    port.dead_letter(LETTER, lambda: done.append("letter"))
    port.submit(2, INTENT, lambda: done.append("intent"))
    port.notify(NOTICE)
    until(harness, lambda: len(done) == 4, "the port is connected", lambda: port.serve(0.02))
    until(harness, lambda: not len(port), "all of it is sent", lambda: port.serve(0.02))


def _append_and_wait(port: Port, answers: list[int | None]) -> None:
    port.append(0, b"", b"again", lambda offset, _: answers.append(offset))
    assert port.flush(30.0) == 0
