"""Floor 4: admission, saga, dispatch and projection: pure deciders beside thin shells."""
