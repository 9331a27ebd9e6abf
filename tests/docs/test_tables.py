"""The tables of the pages say what the code says."""

import re
from pathlib import Path

from typer.main import get_command

from semel.cli.app import app
from semel.cli.exits import MEANINGS
from semel.mail import MailKind
from semel.mails import About, Templates
from semel.mails.templates import LINKED
from semel.observe import Metrics

DOCS = Path(__file__).parents[2] / "docs"


def table(page: str, first: str) -> dict[str, list[str]]:
    """Return the rows of the page's table whose first column has this title."""
    after = (DOCS / page).read_text().partition(f"| {first} |")[2].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in after.splitlines()[2:]]
    return {row[0].strip("| "): row[1:] for row in rows}


def test_every_exit_code_is_documented() -> None:
    """With the words of ``--help``."""
    assert table("commands.md", "exit code") == {str(int(code)): [said] for code, said in MEANINGS.items()}


def test_every_command_is_documented() -> None:
    """And none that is not there."""
    rows = {re.sub(r" [\[A-Z-].*", "", row.strip("`")) for row in table("commands.md", "command")}
    groups = get_command(app).commands  # type: ignore[attr-defined]
    commands = {f"semel {name} {one}" for name, group in groups.items() for one in getattr(group, "commands", {})}
    commands |= {f"semel {name}" for name, command in groups.items() if not hasattr(command, "commands")}
    commands |= {f"semel {name}" for name, group in groups.items() if getattr(group, "invoke_without_command", False)}
    assert rows == commands


def test_every_metric_is_documented() -> None:
    """With its labels."""
    metrics = Metrics()
    kinds = {"counter": "_total"}
    made = {
        f"`{family.name}{kinds.get(family.type, '')}`": ", ".join(collector._labelnames) or "–"  # noqa: SLF001
        for collector in vars(metrics).values()
        if hasattr(collector, "_labelnames")
        for family in collector.collect()
    }
    assert {name: row[0].strip() for name, row in table("operations.md", "metric").items()} == made


def test_every_mail_is_documented() -> None:
    """With what it needs, and all that a template may say."""
    kinds = {f"`{kind}`": "`link`" if kind in LINKED else "–" for kind in MailKind}
    assert {kind: row[1].strip() for kind, row in table("how-to/mail.md", "kind").items()} == kinds
    said = Templates().values(About())
    assert {name.strip("`") for name in table("how-to/mail.md", "variable")} == said.keys()
