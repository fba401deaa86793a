"""Ways of scoring heads, one a file, all with the same call; `methods` is their table."""
