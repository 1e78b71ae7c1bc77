"""Policy: which intents may be, decided in three stages by Cedar, as a pure function of values.

Security Guard (who), City Manager (what the tenant allows), Data Steward (which data).
docs/policy.md tells how they are written; here they are read, checked, prepared and asked. Nothing
here knows a clock, a log or a configuration.
"""
