"""Measurements: the system beside a bare Kafka pipeline and beside its peers, in one run."""
