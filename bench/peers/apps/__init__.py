"""The user's own code, once for each engine: each of the flows of `bench.peers.steps`."""
