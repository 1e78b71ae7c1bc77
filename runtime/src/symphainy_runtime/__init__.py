"""Floor 3: what the runtime's processes run on: journal, ownership, read model, settings, local services."""
