"""Labelled text: tasks, file formats, corpora, downloads, generated phrases. Reading drops no word.

Each file format has one reader, each corpus one row of `corpus_table`. Does not import torch.
Imports `core`.
"""
