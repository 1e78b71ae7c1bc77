"""Which of a consumer's errors end a worker, and what they are called then. The pump's one door."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException

from symphainy_schemas.errors import OperatorError, Unavailable

_log = logging.getLogger("symphainy.worker")
_FENCED = (KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED, KafkaError._FATAL)
_GONE_FOR_GOOD = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._FATAL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._AUTHENTICATION,
    }
)


def is_fence(error: Exception) -> bool:
    """Whether another process has joined the group under our name.

    The client calls that fatal and names it in its words; nothing else is fatal to a consumer that
    is a member of a group by the classic protocol.
    """
    if not isinstance(error, KafkaException):
        return False
    cause: KafkaError = error.args[0]
    return cause.code() in _FENCED or cause.fatal()


def check(error: KafkaError) -> None:
    """Raise what no waiting can cure; librdkafka recovers from all else by itself."""
    if error.code() in _GONE_FOR_GOOD or error.fatal():
        raise KafkaException(error)
    _log.warning("reading tasks: %s: %s", error.name(), error.str())


def log_error(error: KafkaError) -> None:
    """What librdkafka says on its own account; it goes on trying."""
    _log.warning("Kafka: %s: %s", error.name(), error.str())


def translated(error: Exception) -> Exception:
    """Kafka's errors as ours; others as they are."""
    if not isinstance(error, KafkaException):
        return error
    cause: KafkaError = error.args[0]
    if is_fence(error):
        return OperatorError(
            f"Another worker has joined the group under this one's name: {cause.str()}.",
            code="worker_fenced",
            cure="Give every worker process a `--name` of its own, or none.",
        )
    text = f"The worker cannot read its tasks: {cause.name()}: {cause.str()}."
    if cause.code() == KafkaError._AUTO_OFFSET_RESET:
        cure = "Tasks expired unread; start the worker again, the owners deliver them anew."
        return OperatorError(text, code="position_lost", cure=cure)
    if cause.code() in _GONE_FOR_GOOD:
        cure = "Check the worker's credentials, its rights on topic and group, and its versions."
        return OperatorError(text, code="tasks_unreadable", cure=cure)
    return Unavailable(text, cure="Start the worker again when Kafka answers.")
