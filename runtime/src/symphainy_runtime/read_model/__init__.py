"""The read model in Redis or Valkey: written by the projector, read by gateway and CLI.

It can be lost and rebuilt from the journal. What it says was true at the offset that it names.
"""
