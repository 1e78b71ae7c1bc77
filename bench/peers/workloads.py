"""The workloads by name."""

from bench.peers.measures import idle, killed, latency_and_throughput, timers
from bench.peers.steps import TIMER_SLEEP_S
from bench.peers.workload import Workload

WORKLOADS = {
    "w1": Workload(
        title="one step",
        flow="one",
        measure=latency_and_throughput,
        sequential=500,
        concurrency=(16, 64, 256),
    ),
    "w2": Workload(
        title="three steps",
        flow="saga",
        measure=latency_and_throughput,
        sequential=300,
        concurrency=(256,),
    ),
    "w3": Workload(
        title="three steps, the third fails, two compensations",
        flow="comp",
        measure=latency_and_throughput,
        sequential=200,
        concurrency=(256,),
    ),
    "w4": Workload(
        title="kill -9 in the middle of three-step runs", flow="slow", measure=killed, kills=True
    ),
    "w5": Workload(title=f"durable sleeps of {TIMER_SLEEP_S:g} s", flow="timer", measure=timers),
    "w6": Workload(title="cold start, and idle", flow="one", measure=idle),
}
#: What `make bench-peers` measures.
DEFAULT = ("w1", "w2", "w3", "w4")
