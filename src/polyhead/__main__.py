"""`python -m polyhead`: the command line."""

import sys

from polyhead.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
