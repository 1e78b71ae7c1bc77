"""The owner's ports on Kafka. Nothing here decides; everything here may fail, and says how."""

from symphainy_processors.owner.kafka.shell import KafkaShell

__all__ = ["KafkaShell"]
