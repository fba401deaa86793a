"""Smaller models without training: repairs of pruned models, and vocabularies trimmed to some languages.

Works on any model that `models.pruning` can prune. Imports `core`, `data`, `models` and `learning`.
"""
