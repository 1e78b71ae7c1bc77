"""The owner's port on Kafka.

- A completion may send more, even while the client's queue is full: nothing is lost or reordered,
  and the process goes on (the client aborts it if it is polled or asked inside a completion).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from msgspec.structs import replace
from tests.samples import TASK
from tests.support.system import isolated

from symphainy_processors.owner import kafka_port
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_transport.topics import Topics

COUNT = 400


def test_completions_that_send_into_a_full_queue_lose_nothing(
    running: Endpoints, tmp_path: Path
) -> None:
    settings = isolated(running, tmp_path)
    small = settings.model_copy(
        update={"kafka_extra": {"message.timeout.ms": "20000", "batch.num.messages": "10"}}
    )
    cluster = Cluster(settings)
    cluster.create([*cluster.specs(), Topics(settings.topic_prefix).realm_spec("content", 3)])
    port = kafka_port.KafkaPort(small, "port-test", queue_messages=20)
    offsets: list[int | None] = []
    sent: list[int] = []

    def appended(number: int, offset: int | None) -> None:
        offsets.append(offset)
        port.send(replace(TASK, delivery=number), lambda: sent.append(number))

    for number in range(COUNT):
        port.next_turn()
        port.append(0, b"k", b"%d" % number, partial(appended, number))
    assert port.flush(30.0) == 0
    assert offsets == list(range(COUNT))
    assert sorted(sent) == list(range(COUNT))
