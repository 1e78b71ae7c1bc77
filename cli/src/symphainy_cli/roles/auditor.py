"""The auditor: keeps signed checkpoints of the journal, apart from the cluster."""

from __future__ import annotations

import signal

from symphainy_cli.process import say_ready
from symphainy_cli.roles.serving_metrics import serve_metrics
from symphainy_runtime.audit.auditor import AuditKeys, Auditor
from symphainy_runtime.audit.keys import signer_key, verifier_keys
from symphainy_runtime.audit.metrics import AuditorMetrics
from symphainy_runtime.audit.store import Evidence, open_store
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clock import SystemClock


def auditor_of(settings: RuntimeSettings, name: str) -> Auditor:
    """An auditor as the settings say.

    Raises:
        OperatorError: the settings name no Kafka, no key, or no store.
    """
    settings.require_kafka()
    signer = signer_key(settings)
    keys = AuditKeys(signer, (signer.verifier, *verifier_keys(settings)))
    evidence = Evidence(open_store(settings.audit_location()))
    return Auditor(settings, evidence, keys, SystemClock(), name)


def play(settings: RuntimeSettings, name: str) -> None:
    """Audit until a signal says to stop.

    Raises:
        SymphainyError: no Kafka, no key or no store is set or reached.
    """
    auditor = auditor_of(settings, name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: auditor.stop())
    if settings.audit_metrics_port:
        metrics = AuditorMetrics(auditor)
        serve_metrics(metrics, settings.gateway_host, settings.audit_metrics_port)
    auditor.run(on_ready=lambda: say_ready("auditor", f"keeps in {settings.audit_location()}"))
