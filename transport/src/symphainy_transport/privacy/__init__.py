"""Privacy: content of a tenant is sealed with its data key, and gone when its key is (ADR 16)."""
