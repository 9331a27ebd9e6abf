"""What one client may cost the server."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from semel.http.protocol import HEAD_LIMIT
from tests.servers import Servers


def test_a_head_without_end_is_cut_off(servers: Servers, tmp_path: Path) -> None:
    """A header that goes on and on is answered 431 and the connection closed; the server goes on."""
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    with servers.running(url) as server, socket.create_connection(_address(server.url), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        client.sendall(b"a" * HEAD_LIMIT)
        assert client.recv(1024).startswith(b"HTTP/1.1 431 ")
        assert client.recv(1024) == b""
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_the_embedded_database_is_its_owners_alone(servers: Servers, tmp_path: Path) -> None:
    """It holds hashes and keys: nobody else on the machine may read it."""
    servers.migrate(f"sqlite:///{tmp_path / 'semel.db'}")
    assert (tmp_path / "semel.db").stat().st_mode & 0o077 == 0


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
