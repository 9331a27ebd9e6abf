"""The how-to of Azure Tables: its commands run."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.how_to import HowTo
from tests.emulators import Emulator

PAGE = HowTo.read("azure-tables")


def test_the_commands_run(azure_tables: Emulator, tmp_path: Path) -> None:
    """All but the first, which starts a server; what names that one names the tests' own."""
    (code,) = (block.code for block in PAGE.blocks if block.language == "bash")
    start, _, rest = code.partition("\n")
    assert start.startswith("azurite-table ")
    connection = azure_tables.variables["AZURE_STORAGE_CONNECTION_STRING"]
    named = rest.replace("UseDevelopmentStorage=true", f"'{connection}'")
    assert named != rest
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["/bin/bash", "-euc", named], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
