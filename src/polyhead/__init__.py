"""polyhead: which attention heads of a multilingual Transformer matter, and cutting the rest."""
