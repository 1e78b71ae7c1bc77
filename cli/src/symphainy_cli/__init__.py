"""Floor 5: the composition root: the symphainy command."""
