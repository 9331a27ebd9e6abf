"""Prints the page ``docs/why.md``."""

import sys

from semel.testing.specimens import SYSTEMS
from semel.testing.specimens.page import page

sys.stdout.write(page(SYSTEMS))
