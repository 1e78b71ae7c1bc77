"""Floor 1: Avro schemas, frozen records, codecs, ids and errors; nothing else."""
