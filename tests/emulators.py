"""Servers that speak the protocols of DynamoDB and of Azure Tables, from npm: see ``scripts/install-test-services``.

Both listen on the loopback address alone, on free ports, and end with the thread that started them. They are kinder
than the services that they stand for, and Azurite is not durable: kill what is in front of it, never itself.
"""

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.services import free_port, listening, running

__all__ = ["Emulator", "azurite", "dynoxide"]

_MODULES = Path(__file__).parent / "npm" / "node_modules"
_AZURITE_ACCOUNT = "devstoreaccount1"


@dataclass(frozen=True)
class Emulator:
    """A running server: what names it to the SDK, as environment variables. Tables are made under names of their own.

    ``scheme`` is that of the store's URL; ``secret`` is what in the variables nobody may print.
    """

    scheme: str
    variables: Mapping[str, str] = field(repr=False)
    port: int
    secret: str = field(repr=False)

    def new_url(self) -> str:
        """Return the URL of a store that nobody has used: its table is still to be made, by ``semel migrate``."""
        return f"{self.scheme}:///semel{uuid4().hex}"


@contextmanager
def dynoxide(file: Path | None = None) -> Iterator[Emulator]:
    """Start a DynamoDB server; what it holds is in the file, or in memory alone."""
    port, secret = free_port(), secrets.token_hex(16)
    command = [str(_program("@dynoxide/linux-x64/dynoxide")), "--port", str(port)]
    if file is not None:
        command += ["--db-path", str(file)]
    variables = {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "of-the-tests",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    with (
        tempfile.TemporaryDirectory(prefix="semel-dynoxide-") as directory,
        running(command, Path(directory) / "log", listening(port)),
    ):
        yield Emulator("dynamodb", variables, port, secret)


@contextmanager
def azurite() -> Iterator[Emulator]:
    """Start an Azure Tables server, with an account key of its own."""
    port, key = free_port(), secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="semel-azurite-") as directory:
        command = ["node", str(_program("azurite/dist/src/table/main.js")), "--silent", "--disableTelemetry"]
        command += ["--tableHost", "127.0.0.1", "--tablePort", str(port), "--location", directory]
        command += ["--skipApiVersionCheck"]
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_AZURITE_ACCOUNT};AccountKey={key};"
            f"TableEndpoint=http://127.0.0.1:{port}/{_AZURITE_ACCOUNT};"
        )
        accounts = {"AZURITE_ACCOUNTS": f"{_AZURITE_ACCOUNT}:{key}"}
        with running(command, Path(directory) / "log", listening(port), variables=accounts):
            yield Emulator("azure-tables", {"AZURE_STORAGE_CONNECTION_STRING": connection}, port, key)


def _program(name: str) -> Path:
    program = _MODULES / name
    if not program.exists():
        message = f"{name} is missing: run scripts/install-test-services"
        raise RuntimeError(message)
    return program
