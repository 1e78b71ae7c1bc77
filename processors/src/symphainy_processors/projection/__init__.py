"""The projection of the journal into the read model: a pure fold to operations, and its shell."""
