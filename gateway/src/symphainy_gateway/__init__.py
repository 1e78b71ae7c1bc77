"""Floor 4: the HTTP gateway."""
