"""The partition owner under load: takeover, a million waiting, timers, a noisy neighbour, fold."""
