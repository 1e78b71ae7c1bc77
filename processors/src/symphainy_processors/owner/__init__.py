"""The partition owner: decide, append, act. It joins the deciders; they do not know it."""
