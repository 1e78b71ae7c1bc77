"""Floor 3: what the runtime's processes run on: journal, read model, settings, local services."""
