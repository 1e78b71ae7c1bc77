"""Who acts in the simulated world: owners, realm workers, and those who state intents."""
