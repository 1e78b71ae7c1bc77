"""What a tenant may state in a time, and store: charged before anything is appended.

`limits` and `counting` are pure. `ledger` keeps the counts of all gateways together in Redis;
`metering` charges through it, many charges in one round trip, and stands in for it while it is
away; `storing` holds payloads to their sizes; `refusing` is what a client is told.
"""
