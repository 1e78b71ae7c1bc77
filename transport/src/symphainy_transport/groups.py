"""Who is in a consumer group: Kafka knows which workers live, without heartbeats of our own."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException

from symphainy_schemas.errors import Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings

_ANSWER_S = 10.0


def members(settings: TransportSettings, client_id: str, group: str) -> tuple[str, ...]:
    """The client ids of a group's members, one for each member; none where there is no group.

    By the older of the client's two ways to describe a group: the newer one ends the process when
    a broker goes away while it is asked (librdkafka #4605, seen with 2.16). Blocks.

    Raises:
        Unavailable: the group's coordinator did not answer.
    """
    try:
        found = admin(settings, client_id).list_groups(group, timeout=_ANSWER_S)
    except KafkaException as error:
        raise _silent(group, error) from error
    # Its stub says that these attributes are None.
    known: Any = found[0] if found else None
    if known is None:
        return ()
    if known.error is not None:
        raise _silent(group, known.error)
    return tuple(member.client_id for member in known.members)


def _silent(group: str, why: object) -> Unavailable:
    return Unavailable(
        f"Kafka did not tell who is in group {group}: {why}",
        code="group_unknown",
        cure="Ask again when the brokers run, with the right to describe the group.",
    )
