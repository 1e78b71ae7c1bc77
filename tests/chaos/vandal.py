"""Who writes into the topics what nobody should: garbage, wrong places, forged reports."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace
from tests.chaos.cluster import PARTITIONS
from tests.samples import INTENT, REPORT

from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import ReportKind
from symphainy_simulation.checking import Acknowledged
from symphainy_transport.clients import producer
from symphainy_transport.topics import INTENTS, STEPS, Topics

EVERY_S = (0.2, 2.0)
FORGED = (
    ReportKind.STARTED,
    ReportKind.CHECKPOINT,
    ReportKind.SUCCEEDED,
    ReportKind.FAILED,
    ReportKind.HANDED_BACK,
)
GARBAGE = (b"\x00\xffgarbage", b"\xc3\x01" + b"12345678" + b"x", b"")


class Vandal:
    """A thread that writes until it is told to stop."""

    def __init__(
        self, settings: RuntimeSettings, seed: int, recent: Callable[[], Acknowledged | None]
    ) -> None:
        """`recent` names an intent that was acknowledged lately."""
        self._recent = recent
        self._topics = Topics(settings.topic_prefix)
        self._out = producer(settings, "vandal", message_timeout_ms=10_000)
        self._chance = random.Random(f"vandal/{seed}")
        self._resting = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Write."""
        self._resting.clear()
        self._thread = threading.Thread(target=self._play, name="vandal")
        self._thread.start()

    def rest(self) -> None:
        """Stop."""
        self._resting.set()
        if self._thread is not None:
            self._thread.join()
        self._out.flush(15.0)

    def _play(self) -> None:
        while not self._resting.wait(self._chance.uniform(*EVERY_S)):
            what = self._chance.choice(("garbage", "wrong partition", "forged report"))
            p = self._chance.randrange(PARTITIONS)
            if what == "garbage":
                self._write(self._chance.choice((INTENTS, STEPS)), self._chance.choice(GARBAGE), p)
            elif what == "wrong partition":
                session = ids.new_session_id("acme", PARTITIONS)
                wrong = (ids.partition_of(session) + 1) % PARTITIONS
                intent = replace(INTENT, session_id=session, intent_id=ids.new_intent_id())
                self._write(INTENTS, encode(replace(intent, payload_ref=None)), wrong)
            else:
                self._forge()
            self.counts[what] += 1

    def _forge(self) -> None:
        """A report about a running execution by somebody who does not know its token."""
        known = self._recent()
        if known is None:
            return
        report = replace(
            REPORT,
            kind=self._chance.choice(FORGED),
            execution_id=known.execution_id,
            session_id=known.session_id,
            tenant_id=known.tenant_id,
            attempt=1,
            delivery=1,
            token="guessed",
        )
        self._write(STEPS, encode(report), known.partition)

    def _write(self, topic: str, value: bytes, p: int) -> None:
        self._out.produce(self._topics.name(topic), value, partition=p)
        self._out.poll(0)
