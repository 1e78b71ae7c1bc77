"""Submitting one intent: append it, and answer with what became of it (guarantees G1 and G2).

This knows no HTTP: an answer is a value, a refusal an error. A 202 is given only for what Kafka
has acknowledged; what it did not acknowledge is unknown, and the error says with which id to
repeat it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from msgspec import Struct

from symphainy_gateway.backend import Backend
from symphainy_gateway.foresight import Foresight
from symphainy_gateway.intents import RUNTIME_REALM, Submission
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.pressure import Pressure
from symphainy_gateway.problems import Refused, rejection
from symphainy_gateway.quotas.metering import Metering
from symphainy_gateway.quotas.storing import Storing
from symphainy_gateway.waiters import Waiters, at_rest, decided, ended
from symphainy_runtime.read_model.notifications import Watch
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, SymphainyError, Unavailable
from symphainy_schemas.state import ExecutionStatus
from symphainy_transport.publishing import Accepted

# How long a doubtful intent's decision is worth a caller's time: a decision takes milliseconds,
# a takeover of its partition a few seconds.
DECISION_WAIT_S = 5.0
# An idempotent producer retries for ever; a broker's restart takes about 2 s, an election less.
# Below the 15 s that clients usually allow an answer.
PUBLISH_TIMEOUT_S = 10.0


class Place(Struct, frozen=True):
    """Where an intent stands in the write-ahead log."""

    topic: str
    partition: int
    offset: int


class Acknowledged(Struct, frozen=True, kw_only=True):
    """The intent is in the write-ahead log; its execution has not ended yet."""

    execution_id: str
    intent_id: str
    status: str
    wal: Place | None


class Ended(Struct, frozen=True):
    """The execution has ended; everything known of it."""

    execution_id: str
    document: Document


Answer = Acknowledged | Ended


@dataclass(frozen=True, slots=True)
class Holds:
    """What may hold an intent back from the log: the load, and its tenant's limits."""

    pressure: Pressure
    metering: Metering
    storing: Storing


class Submitter:
    """Submits intents for all routes."""

    def __init__(
        self,
        backend: Backend,
        waiters: Waiters,
        foresight: Foresight,
        holds: Holds,
        metrics: Metrics,
    ) -> None:
        self._backend = backend
        self._waiters = waiters
        self._foresight = foresight
        self._pressure = holds.pressure
        self._metering = holds.metering
        self._storing = holds.storing
        self._metrics = metrics

    async def submit(self, submission: Submission, wait_s: float | None) -> Answer:
        """Append the intent; with `wait_s`, wait until it has ended or is stuck.

        Raises:
            Rejected: the owner has decided that the intent may not run.
            Refused: the intent id was used with another payload (`idempotency_conflict`); there is
                too much to do (`backlogged`, `kafka_busy`, `too_many_waits`), and it was not
                appended; its tenant is over a limit (`over_quota`, `budget_exhausted`,
                `payload_too_large`, `storage_exhausted`), and it was not either; or it is unknown
                whether it was (`wal_unavailable`).
        """
        if wait_s is None:
            return await self._submit(submission, None)
        with self._pressure.waiting(submission.intent.tenant_id):
            return await self._submit(submission, wait_s)

    async def _submit(self, submission: Submission, wait_s: float | None) -> Answer:
        intent = submission.intent
        partition = ids.partition_of(intent.session_id)
        execution_id = ids.execution_id(
            intent.tenant_id, intent.session_id, intent.intent_id, partition
        )
        async with self._backend.notifier.watch(execution_id) as watch:
            if submission.chosen:
                first = await self._first_answer(execution_id, submission)
                if first is not None:
                    return await self._repeated(first, watch, submission, wait_s)
            self._storing.require_fitting(intent)
            self._pressure.require_drained(partition, intent)
            doubtful = self._foresight.doubts_capability(submission)
            doubt = self._session_doubt(submission)
            try:
                with self._pressure.appending(partition, intent):
                    await self._metering.charge(intent)
                    await self._storing.reserve(intent)
                    accepted = await self._append(execution_id, submission)
                doubtful = (doubt is not None and await doubt) or doubtful
            finally:
                if doubt is not None:
                    doubt.cancel()
            self._pressure.backlog.appended(accepted.partition, accepted.offset)
            wal = Place(accepted.topic, accepted.partition, accepted.offset)
            document = await self._wait(watch, execution_id, submission, wait_s, doubtful)
        return await self._answer(execution_id, submission, document, wal)

    async def _first_answer(self, execution_id: str, submission: Submission) -> Document | None:
        """What is known of the intent id already; nothing, where the read model has no answer."""
        try:
            return await self._waiters.read(submission.intent.tenant_id, execution_id)
        except Unavailable:
            return None

    async def _repeated(
        self, first: Document, watch: Watch, submission: Submission, wait_s: float | None
    ) -> Answer:
        execution_id: str = first["execution_id"]
        latest: Document | None = None
        await self._require_same_payload(first, submission)
        if not at_rest(first):
            latest = await self._wait(watch, execution_id, submission, wait_s, doubtful=False)
        return await self._answer(execution_id, submission, latest or first, None)

    def _session_doubt(self, submission: Submission) -> asyncio.Task[bool] | None:
        """Whether the session is doubtful, found out while the intent is appended."""
        intent = submission.intent
        if intent.realm == RUNTIME_REALM or self._foresight.trusts_session(
            intent.tenant_id, intent.session_id
        ):
            return None
        return asyncio.create_task(
            self._foresight.doubts_session(intent.tenant_id, intent.session_id)
        )

    async def _append(self, execution_id: str, submission: Submission) -> Accepted:
        intent = submission.intent
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                return await self._backend.publisher.publish(intent)
        except (Unavailable, TimeoutError) as error:
            self._metrics.publish_failures.inc()
            known = error if isinstance(error, Unavailable) else None
            raise Refused(
                known.message if known else "Kafka did not acknowledge the intent in time.",
                code=known.code if known else "wal_unavailable",
                cure=f"It is unknown whether it was taken. Repeat it with intent id "
                f"{intent.intent_id}: it is decided once.",
                execution_id=execution_id,
                intent_id=intent.intent_id,
            ) from error
        except CallerError as error:
            raise _with_intent(error, submission) from error

    async def _wait(
        self,
        watch: Watch,
        execution_id: str,
        submission: Submission,
        wait_s: float | None,
        doubtful: bool,
    ) -> Document | None:
        tenant_id = submission.intent.tenant_id
        if wait_s is not None:
            document = await self._waiters.until(watch, tenant_id, execution_id, at_rest, wait_s)
            met = document is not None and at_rest(document)
            (self._metrics.waits_met if met else self._metrics.waits_not_met).inc()
            return document
        waits = self._pressure.waits
        if not doubtful or not waits.enter(tenant_id):
            return None
        try:
            return await self._waiters.until(
                watch, tenant_id, execution_id, decided, DECISION_WAIT_S
            )
        finally:
            waits.leave(tenant_id)

    async def _answer(
        self,
        execution_id: str,
        submission: Submission,
        document: Document | None,
        wal: Place | None,
    ) -> Answer:
        intent = submission.intent
        if document is None:
            status = ExecutionStatus.ACCEPTED.value
        else:
            await self._require_same_payload(document, submission)
            status = document["status"]
            if status == ExecutionStatus.REJECTED.value:
                self._foresight.forget_session(intent.tenant_id, intent.session_id)
                raise rejection(document)
            if ended(document):
                return Ended(execution_id, document)
            wal = wal or place_of(document)
        return Acknowledged(
            execution_id=execution_id, intent_id=intent.intent_id, status=status, wal=wal
        )

    async def _require_same_payload(self, document: Document, submission: Submission) -> None:
        """Raises `Refused` if the intent id stands for another payload (a fresh id cannot)."""
        if not submission.chosen:
            return
        intent, digest = submission.intent, bytes.fromhex(document["payload_sha256"])
        if await self._backend.publisher.same_payload(intent, digest):
            return
        raise Refused(
            f"Intent id {intent.intent_id} was used in this session with another payload.",
            code="idempotency_conflict",
            field="/intent_id",
            cure="Use a new intent id, or repeat the first payload.",
            execution_id=document["execution_id"],
            intent_id=intent.intent_id,
        )


def place_of(document: Document) -> Place | None:
    """Where an execution's intent stands, as the read model shows it."""
    wal = document.get("wal")
    return Place(wal["topic"], wal["partition"], wal["offset"]) if wal else None


def _with_intent(error: SymphainyError, submission: Submission) -> Refused:
    return Refused(
        error.message,
        code=error.code,
        field=error.field,
        cure=error.cure,
        intent_id=submission.intent.intent_id,
    )
