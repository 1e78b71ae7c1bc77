"""The probe realm, patient, in a worker that dies of SIGKILL when it is to hand over."""

from __future__ import annotations

import os
import signal

from confluent_kafka import Consumer, TopicPartition
from tests.integration.sdk.patient import realm

from symphainy.worker.pump import Pump

__all__ = ["realm"]


def _die(self: Pump, consumer: Consumer, partitions: list[TopicPartition]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


Pump._on_revoke = _die  # type: ignore[method-assign]
