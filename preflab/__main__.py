"""``python -m preflab``."""

import sys

from preflab.cli import main

if __name__ == "__main__":
    sys.exit(main())
