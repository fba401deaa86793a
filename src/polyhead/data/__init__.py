"""Readers: files in, `Sentence` records out, nothing dropped on the way."""
