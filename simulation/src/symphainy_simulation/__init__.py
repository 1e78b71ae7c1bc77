"""The simulated system, and the checkers of the guarantees."""
