"""Floor 4: admission, saga, projection, owner: pure deciders beside thin shells."""
