"""Which topic this is: names come again after a deletion, ids do not (KIP-516)."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from symphainy_schemas.errors import Unavailable


def topic_identity(client: AdminClient, topic: str, timeout_s: float) -> str:
    """`<cluster id>/<topic>/<topic id>`. Ask each time: a topic may be made anew under its old name
    while we run.

    Raises:
        Unavailable: Kafka did not answer, or has no such topic.
    """
    try:
        cluster = client.describe_cluster(request_timeout=timeout_s)
        topics = client.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)
        topic_id = topics[topic].result().topic_id
        return f"{cluster.result().cluster_id}/{topic}/{topic_id}"
    except KafkaException as error:
        raise Unavailable(
            f"Kafka did not tell the id of {topic}: {error}",
            cure="Check that the brokers run; `symphainy topics create` makes topics.",
        ) from error
