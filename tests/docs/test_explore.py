"""The how-to of the explorer, followed to the letter."""

from pathlib import Path

import pytest

from tests.docs.how_to import HowTo, explored

PAGE = HowTo.read("explore")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the page's files."""
    PAGE.write_files(tmp_path)
    return tmp_path


def test_a_step(directory: Path) -> None:
    """In a commit of its own the step breaks as told; in that of the account it does not, with two faults either."""
    reports = explored(directory, "welcome:scenarios")
    assert {name: report["exhausted"] for name, report in reports.items()} == {
        "afterwards/1": False,
        "afterwards/2": False,
        "together/1": True,
        "together/2": True,
    }
    told = [block.code.splitlines() for block in PAGE.blocks if block.language == "text"]
    assert told == [reports["afterwards/1"]["story"], reports["afterwards/2"]["story"]]
    more = explored(directory, "welcome:scenarios", "together/*", "--faults", "2")
    assert [report["exhausted"] for report in more.values()] == [True, True]


def test_a_provider(directory: Path) -> None:
    """Semel over the page's directory makes whole accounts; over one that deletes nothing it does not."""
    assert explored(directory, "directory:scenarios")["directory"]["exhausted"]
    file = directory / "directory.py"
    deletes = "self.state = {id: one for id, one in self.state.items() if id != provider_id}"
    assert deletes in file.read_text()
    file.write_text(file.read_text().replace(deletes, "pass"))
    assert explored(directory, "directory:scenarios")["directory"]["violations"] == ["half an account"]
