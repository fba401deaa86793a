"""Repairs of a pruned model that need no training: mean outputs folded into biases, least-squares rescaling.

Works on any token classifier that `models.pruning` can prune.
Imports `core`, `data`, `models` and `learning`.
"""
