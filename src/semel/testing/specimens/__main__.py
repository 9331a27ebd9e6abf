"""Prints the page ``docs/why.md``."""

import sys

from semel.testing.specimens import SYSTEMS
from semel.testing.specimens.page import page

if __name__ == "__main__":  # every module can be imported, and the page takes a while
    sys.stdout.write(page(SYSTEMS))
