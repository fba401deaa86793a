"""Text and labels in: tasks, file formats, corpora, downloads, generated phrases. No word is dropped on the way.

A file format is one reader, a corpus one row of `corpus_table`. Holds no torch.
Imports `core`.
"""
