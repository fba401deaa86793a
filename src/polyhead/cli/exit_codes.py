"""Exit codes of `polyhead`."""

from typing import Final

DONE: Final = 0
CHECK_FAILED: Final = 1
BAD_INPUT: Final = 2
INTERNAL_ERROR: Final = 3
STOPPED: Final = 130
