"""What to run, as data, and the one recipe that runs it."""
