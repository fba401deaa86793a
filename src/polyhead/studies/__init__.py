"""What to run, as data, and the one recipe that runs it, from fine-tuning to the record of a run.

Adding a protocol or a control changes data here, never the recipe in `cell`.
Imports every room but `cli`.
"""
