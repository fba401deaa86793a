"""The command line: parse, call public functions, print."""
