"""Running a handler again along its record: for tests of compatibility, and for full replays."""
