"""Chaos: the real processes under load, killed and paused at random; then the checkers read all."""
