"""The page on rate limits, followed to the letter."""

import re
from pathlib import Path

from semel.config import Settings
from semel.config_names import variable
from tests.docs.how_to import HOW_TOS, HowTo, send
from tests.servers import Servers

PAGE = (HOW_TOS / "rate-limits.md").read_text()


def given(block: str) -> dict[str, str]:
    """Return the settings of a block."""
    return dict(line.split("=", 1) for line in block.splitlines())


def test_the_requests_answer_what_the_page_says(servers: Servers, tmp_path: Path) -> None:
    """Two have accounts, the third is refused with the headers shown, and the first is answered again."""
    page = HowTo.read("rate-limits")
    settings = next(given(block.code) for block in page.blocks if block.language == "ini")
    shown = next(block.code for block in page.blocks if block.language == "http")
    del settings["SEMEL_DATABASE_URL"]
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    ada, bob, eve = page.requests()
    with servers.running(url, SEMEL_RATE_LIMITS="memory", **settings) as server:
        first = send(ada, server.url)
        assert (first.status_code, send(bob, server.url).status_code) == (201, 201)
        refused = send(eve, server.url)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        for name, value in (line.split(": ", 1) for line in shown.splitlines()):
            assert _without_the_clock(refused.headers[name]) == _without_the_clock(value)
        assert send(ada, server.url).json() == first.json()


def _without_the_clock(value: str) -> str:
    """Take out how long the window still lasts."""
    return re.sub(r"(^|t=)\d+$", r"\1", value)


def test_the_page_names_every_limit_with_its_default() -> None:
    """And no other."""
    named = dict(re.findall(r"`(SEMEL_RATE_LIMIT_[A-Z_]+)` \(([^)]+)\)", PAGE))
    fields = {name: field for name, field in Settings.model_fields.items() if name.startswith("rate_limit_")}
    assert named == {variable(name): field.default for name, field in fields.items()}


def test_the_settings_shown_are_settings() -> None:
    """Those of every block are taken."""
    blocks = [block.code for block in HowTo.read("rate-limits").blocks if block.language == "ini"]
    for block in blocks:
        Settings(_env_file=None, **{name.removeprefix("SEMEL_").lower(): one for name, one in given(block).items()})
