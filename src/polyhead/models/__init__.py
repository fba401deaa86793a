"""Where heads live in weights: devices, architectures, gates, pruning, checkpoints, model cards.

Only `architectures` knows how a family lays out its projections; everyone else asks it.
Imports `core` and `data`.
"""
