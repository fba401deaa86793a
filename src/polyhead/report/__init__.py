"""Records in; tables, pictures and one page out. Nothing here opens a model.

Everything shown is read from the files that a run left.
Imports `core`, `data` and `selection`.
"""
