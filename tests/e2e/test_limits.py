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
    with servers.running(url) as server, _connected(server.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        client.sendall(b"a" * HEAD_LIMIT)
        answered = _all_from(client)
        assert answered.startswith(b"HTTP/1.1 431 ")
        assert b"request_head_too_large" in answered
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_a_body_that_stops_is_given_up(servers: Servers, tmp_path: Path) -> None:
    """A body that is announced and does not come is answered 408, and the connection closed."""
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with servers.running(url, SEMEL_BODY_SECONDS="0.2") as server, _connected(server.url) as client:
        client.sendall(head + b'{"email"')
        answered = _all_from(client)
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert answered.endswith(b"}")
        assert b"request_timeout" in answered


def test_the_embedded_database_is_its_owners_alone(servers: Servers, tmp_path: Path) -> None:
    """It holds hashes and keys: nobody else on the machine may read it."""
    servers.migrate(f"sqlite:///{tmp_path / 'semel.db'}")
    assert (tmp_path / "semel.db").stat().st_mode & 0o077 == 0


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=30)


def _all_from(client: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    return b"".join(iter(lambda: client.recv(1024), b""))
