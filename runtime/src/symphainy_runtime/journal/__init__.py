"""The journal: which records of it are valid, how one is written, how it is read back.

The rules stand in docs/journal-protocol.md; their numbers are cited where they are kept.
"""
