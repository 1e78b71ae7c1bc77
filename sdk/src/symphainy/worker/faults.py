"""Which of a consumer's errors end a worker, and what they are called then. The pump's one door."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException

from symphainy_schemas.errors import OperatorError, Unavailable

_log = logging.getLogger("symphainy.worker")
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
    text = f"The worker cannot read its tasks: {cause.name()}: {cause.str()}."
    if cause.code() == KafkaError._AUTO_OFFSET_RESET:
        cure = "Tasks expired unread; start the worker again, the owners deliver them anew."
        return OperatorError(text, code="position_lost", cure=cure)
    if cause.code() in _GONE_FOR_GOOD:
        cure = "Check the worker's credentials, its rights on topic and group, and its versions."
        return OperatorError(text, code="tasks_unreadable", cure=cure)
    return Unavailable(text, cure="Start the worker again when Kafka answers.")
