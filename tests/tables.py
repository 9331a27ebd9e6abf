"""Tables that tests fill in line by line, on whichever worker they run; printed once, at the end of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import pytest

Line = Callable[[str, str], None]
"""Adds a line to the table of this title."""

_MARK: Final = "table: "


@pytest.fixture
def line(record_property: Callable[[str, object], None]) -> Line:
    """Lets a test add lines to tables."""
    return lambda title, text: record_property(_MARK + title, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests noted, a table a title."""
    tables: dict[str, list[str]] = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name.startswith(_MARK) and getattr(report, "when", None) == "call":
                    tables[name.removeprefix(_MARK)].append(str(text))
    for title, lines in sorted(tables.items()):
        terminalreporter.section(title)
        terminalreporter.write("\n".join(sorted(lines)) + "\n")
