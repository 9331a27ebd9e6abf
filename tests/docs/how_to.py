"""A how-to page, done as it says: its files written, its requests sent, its queries run."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

HOW_TOS = Path(__file__).parents[2] / "docs" / "how-to"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:# |<!-- |\{# )([\w./]+\.(?:py|html|txt)|\.env)\b")


@dataclass(frozen=True)
class Block:
    """A block of code and the language that its fence names."""

    language: str
    code: str


@dataclass(frozen=True)
class HowTo:
    """The blocks of a page, in their order."""

    blocks: tuple[Block, ...]

    @classmethod
    def read(cls, name: str) -> HowTo:
        text = (HOW_TOS / f"{name}.md").read_text()
        return cls(tuple(Block(*found) for found in _BLOCK.findall(text)))

    def write_files(self, directory: Path) -> None:
        """Write each file whose name a block begins with; a later block of that name goes on where it ends."""
        for block in self.blocks:
            if named := _FILE.match(block.code):
                path = directory / named[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as file:
                    file.write(block.code)

    def requests(self) -> list[str]:
        """Return the page's curl commands."""
        return [block.code for block in self.blocks if block.language == "bash" and block.code.startswith("curl")]

    def queries(self) -> list[str]:
        """Return the page's SQL statements."""
        return [block.code for block in self.blocks if block.language == "sql"]


def send(command: str, server: str) -> httpx.Response:
    """Send what a curl command says, to the server in place of the page's."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data", action="append", default=[])
    said = parser.parse_args(shlex.split(command.replace("\\\n", " "))[1:])
    headers = dict(header.split(": ", 1) for header in said.headers)
    headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    path = httpx.URL(said.url).raw_path.decode()
    return httpx.request(
        said.method or ("POST" if said.data else "GET"), server + path, content="&".join(said.data), headers=headers
    )


def explored(directory: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run ``semel explore --from`` there and return its reports by scenario."""
    command = [str(Path(sys.executable).with_name("semel")), "explore", "--json", "--from", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {report["scenario"]: report for report in map(json.loads, done.stdout.splitlines())}
