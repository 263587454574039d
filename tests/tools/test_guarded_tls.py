"""A client's server over TLS: the connection goes to a checked address, the certificate must be the name's."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.tools.guarded_transport import GuardedTransport

pytestmark = pytest.mark.anyio


def certificate(folder: Path, name: str) -> Path:
    """A certificate for this name with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextlib.asynccontextmanager
async def https(pem: Path) -> AsyncIterator[int]:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            asked = await reader.readuntil(b"\r\n\r\n")
            host = next(line for line in asked.decode().splitlines() if line.lower().startswith("host"))
            body = host.partition(": ")[2].encode()
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def client(trusted: Path) -> httpx2.AsyncClient:
    inner = httpx2.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=str(trusted)))
    return httpx2.AsyncClient(transport=GuardedTransport(inner, public_only=False, resolve=here))


async def test_the_servers_name_is_what_its_certificate_must_have(tmp_path: Path) -> None:
    named = certificate(tmp_path, "named.example")
    async with https(named) as port, client(named) as http:
        assert (await http.get(f"https://named.example:{port}/mcp")).text == f"named.example:{port}"


async def test_the_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    other = certificate(tmp_path, "other.example")
    async with https(other) as port, client(other) as http:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(f"https://named.example:{port}/mcp")
