"""State is `fold(evolve, journal)`: live, restored and replayed state are this one fold.

Nothing here decides, acts, or tells the time.
"""
