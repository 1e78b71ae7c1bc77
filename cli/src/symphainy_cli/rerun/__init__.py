"""Handlers run again in processes of their own, for full and shadow replays."""
