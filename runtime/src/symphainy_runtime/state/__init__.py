"""Where an owner keeps folded state: one ordered store a partition, local and rebuildable."""
