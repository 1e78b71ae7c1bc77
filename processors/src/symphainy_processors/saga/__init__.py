"""Supervision of executions: what a report, a due time or a takeover leads to. Pure."""
