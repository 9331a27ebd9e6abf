"""The page of the specimens is what the explorer finds."""

from pathlib import Path

import pytest

from semel.testing.specimens import SYSTEMS
from semel.testing.specimens.page import page

WHY = Path(__file__).parents[2] / "docs" / "why.md"


@pytest.mark.timeout(900)
def test_why() -> None:
    """Where it differs, write it anew: ``python -m semel.testing.specimens > docs/why.md``."""
    assert page(SYSTEMS) == WHY.read_text()
