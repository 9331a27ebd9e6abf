"""Whom TLS trusts: certificates are made here, and shown by a listener that speaks PostgreSQL's first words."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from semel.errors import StoreUnavailable
from tests.stores.postgres_parts import opened


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a database")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def listener(certificate: Path, greeted: list[bytes]) -> AsyncIterator[str]:
    """Yield host and port of what takes a connection, begins TLS, and keeps the first words that it is then told."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.start_tls(context)
            greeted.append(await reader.readuntil(b"ann"))
        except (OSError, EOFError):
            pass  # the client does not trust us
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("mode", ["&sslmode=verify-full", ""])
async def test_whom_the_system_trusts_is_trusted(
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,  # noqa: FBT001
    mode: str,
) -> None:
    """And nobody else is told who asks."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    greeted: list[bytes] = []
    async with listener(certificate, greeted) as place:
        with pytest.raises(StoreUnavailable):
            async with opened(f"postgresql://ann@{place}/shop?sslrootcert=system{mode}"):
                pass
    assert len(greeted) == trusted
