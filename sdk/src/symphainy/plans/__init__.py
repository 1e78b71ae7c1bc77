"""Plans: intents whose execution has several steps, of several realms. Pure; touches no network."""
