"""The log answers: rows of the journal's events, by what they are of, when, and where they stand.

One row type, asked of three sources: the read model's index, Kafka, and the archive. They give the
same rows; who asks need not know which one answered. Rows are of records that count only (rule 18
of docs/journal-protocol.md).
"""
