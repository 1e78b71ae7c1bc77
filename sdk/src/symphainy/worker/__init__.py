"""Runs realms against Kafka: `Worker`, `run_worker`, `load`, and `python -m symphainy.worker`."""

from symphainy.worker.loading import load
from symphainy.worker.serving import run_worker
from symphainy.worker.worker import Worker

__all__ = ["Worker", "load", "run_worker"]
