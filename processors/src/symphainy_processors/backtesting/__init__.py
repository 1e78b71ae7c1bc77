"""Backtests of policies: a candidate over a range of the journal, read from Kafka.

It only reads: nothing is produced, no offset is committed, no group is joined. What is compared and
counted stands in `symphainy_runtime.policy.backtest`.
"""
