"""Checks on a user's own model and text: does masking equal pruning, is the model left as it was, is the data plausible?

Each check returns a `Finding` with the value measured and the value allowed.
Imports everything from `core` to `importance`.
"""
