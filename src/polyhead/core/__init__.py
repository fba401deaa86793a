"""What all other rooms share: errors, heads, settings, files, the store of results, progress.

Does not import torch, so that the command line starts fast. Imports nothing else of polyhead.
"""
