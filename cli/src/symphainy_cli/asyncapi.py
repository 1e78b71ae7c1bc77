"""`asyncapi.yaml`, from the topics and the Avro schemas: `python -m symphainy_cli.asyncapi`.

With it a service in another language can be a producer or a realm worker with nothing but a
Kafka client.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

from symphainy_schemas import codec
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import (
    ApiKey,
    CancelNotice,
    Capability,
    DeadLetter,
    Intent,
    PolicySet,
    Serving,
    StepReport,
    Task,
    Tenant,
)
from symphainy_schemas.state import State
from symphainy_transport.topics import (
    CANCELS,
    CONFIG,
    DEAD_LETTERS,
    INTENTS,
    JOURNAL,
    STATE,
    STEPS,
    Topics,
    TopicSpec,
)

SCHEMA_FOLDER = "./schemas/src/symphainy_schemas/avro"
TASKS = "tasks.{realm}"
DEFAULT_PARTITIONS = 8
_MESSAGES: dict[str, tuple[str, tuple[type[codec.Record], ...]]] = {
    INTENTS: (
        "The write-ahead log. Produce to the partition that the session id carries; "
        "key: tenant/session.",
        (Intent,),
    ),
    STEPS: (
        "What realm workers report. Produce to the task's `partition`; key: execution id.",
        (StepReport,),
    ),
    JOURNAL: (
        "The decisions, one record each. Readers take a record only if its term is the newest "
        "taken and its seq is the last taken + 1; key: execution id.",
        (JournalRecord,),
    ),
    STATE: ("The state surface, compacted; key: execution or session id.", (State,)),
    TASKS: ("Work for a realm's consumer group; key: execution id.", (Task,)),
    CANCELS: (
        "Which deliveries of executions that are to end may still run. Every worker reads it "
        "without a group, from two minutes ago, and ends what it runs of them with a `handed_back` "
        "report; key: execution id.",
        (CancelNotice,),
    ),
    CONFIG: (
        "Configuration, compacted; key: kind/name/version, of a worker worker/realm/worker id. "
        "Versions stay; a worker's record is removed when it stops.",
        (Capability, Tenant, ApiKey, PolicySet, Serving),
    ),
    DEAD_LETTERS: ("What could not be read, with its place and reason.", (DeadLetter,)),
}


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    topics = Topics()
    specs = {topics.short(spec.name): spec for spec in topics.specs(DEFAULT_PARTITIONS)}
    specs[TASKS] = topics.realm_spec("{realm}", DEFAULT_PARTITIONS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Symphainy",
            "version": "0.1.0",
            "description": "Topics of the runtime. Values are Avro in single-object encoding: "
            "C3 01, the CRC-64-AVRO fingerprint of the schema (little-endian), the datum. "
            "The prefix `symphainy.` is a setting.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/vnd.apache.avro",
        "channels": {_id(name): _channel(specs[name], *told) for name, told in _MESSAGES.items()},
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channel(
    spec: TopicSpec, description: str, records: tuple[type[codec.Record], ...]
) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": spec.name,
        "description": description,
        "messages": {
            record.__name__: {"$ref": f"#/components/messages/{record.__name__}"}
            for record in records
        },
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": {"cleanup.policy": [spec.settings["cleanup.policy"]]},
            }
        },
    }
    if "{realm}" in spec.name:
        channel["parameters"] = {"realm": {"description": "The realm's name."}}
    return channel


def _operations() -> dict[str, Any]:
    """What a service outside the runtime does."""
    told = {
        "stateAnIntent": ("send", INTENTS),
        "takeATask": ("receive", TASKS),
        "reportAStep": ("send", STEPS),
        "hearWhatIsToEnd": ("receive", CANCELS),
        "registerACapability": ("send", CONFIG),
        "readTheJournal": ("receive", JOURNAL),
    }
    return {
        name: {"action": action, "channel": {"$ref": f"#/channels/{_id(topic)}"}}
        for name, (action, topic) in told.items()
    }


def _messages() -> dict[str, Any]:
    return {
        record.__name__: {
            "summary": (record.__doc__ or "").splitlines()[0],
            "x-fingerprint": codec.schema_fingerprint(codec.schema_text(record)).hex(),
            "payload": {
                "schemaFormat": "application/vnd.apache.avro+json;version=1.11.0",
                "schema": {"$ref": f"{SCHEMA_FOLDER}/{file}.avsc"},
            },
        }
        for record, file in codec.SCHEMA_FILES.items()
    }


def _id(topic: str) -> str:
    return topic.replace("{realm}", "realm").replace(".", "-")


def text() -> str:
    """The document as YAML."""
    return yaml.safe_dump(document(), sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(text())
