"""The command line: parse, call one public function, print.

`main` holds the table of commands; a command's module is imported when it runs.
Imports every other room.
"""
