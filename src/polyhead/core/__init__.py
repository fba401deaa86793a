"""What everything else speaks of: errors, heads, settings, files, the store of results, progress.

Holds no torch, so that the command line starts fast. Imports nothing else of polyhead.
"""
