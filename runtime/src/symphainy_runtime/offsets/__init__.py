"""How far each role has come in each partition, and which of these positions may be moved."""
