"""Checks on a user's own model and text: does masking equal pruning, does the model stay unchanged, is the data plausible?

Each check of a model returns a `Finding` with the measured and the allowed value.
Imports everything from `core` to `importance`.
"""
