"""Replay: what the journal says of an execution, a session or a range, and as of when.

It only reads: nothing is produced, no offset is committed, no group is joined. The fold is the
owner's own (`symphainy_processors.fold`); whoever runs handlers again stands on the recordings that
are made here.
"""
