"""The invariants that `polyhead.doctor` holds a user's own model to."""
