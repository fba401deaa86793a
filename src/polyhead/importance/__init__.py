"""Methods that score heads, and the table that lists them all.

A new method is one file here and one row in `table.py`; the conformance tests then check every property the row declares.
Imports `core`, `data`, `models` and `learning`.
"""
