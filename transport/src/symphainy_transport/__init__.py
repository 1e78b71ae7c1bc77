"""Floor 2: how any process reaches Kafka and the object store."""
