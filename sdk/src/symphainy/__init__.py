"""Durable, governed, multi-tenant execution on Kafka: the SDK for realm authors and producers."""
