"""Heads in model weights: devices, architectures, gates, pruning, checkpoints, model cards.

Only `architectures` knows how a family lays out its projections; other modules ask it.
Imports `core` and `data`.
"""
