"""Evidence: checkpoints over the journal, signed and kept apart, and what they prove (G12).

Pure are the tree, the notes, the checkpoints, recording, verifying and proofs; Kafka, folders and
object stores are touched in `reading`, `exporting`, `store` and `auditor` alone.
docs/audit.md states the formats and what is, and what is not, proven.
"""
