"""Ways to connect to a configured server: TLS with channel binding, Unix socket, limits of roles."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.harness.server import LaminarServer


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_a_configured_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "sockets").mkdir()
    (tmp_path / "laminar.toml").write_text(
        f'auth = "scram-sha-256"\nsuperuser_password_file = "{tmp_path}/password"\n'
        f'tls_cert_file = "{cert}"\ntls_key_file = "{key}"\nunix_socket_dir = "{tmp_path}/sockets"\n'
    )
    monkeypatch.setenv("PGPASSWORD", "secret")
    server = LaminarServer(tmp_path, "--config", str(tmp_path / "laminar.toml"), "--reactors", "1").start()
    try:
        options = {"sslmode": "require", "channel_binding": "require"}
        with psycopg.connect(server.dsn, autocommit=True, **options) as connection:
            assert connection.pgconn.ssl_in_use
            connection.execute("CREATE ROLE busy LOGIN PASSWORD 'b' CONNECTION LIMIT 1")
            connection.execute("CREATE ROLE late LOGIN PASSWORD 'l' VALID UNTIL '2001-01-01'")
        dsn = f"host={tmp_path}/sockets port={server.port} user=laminar dbname=laminar"
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("laminar",)
        others = server.dsn.replace("user=laminar", "user=%s")
        full = pytest.raises(psycopg.OperationalError, match='too many connections for role "busy"')
        with psycopg.connect(others % "busy", password="b"), full:
            psycopg.connect(others % "busy", password="b")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(others % "late", password="l")
        assert alpn(server.port) == "postgresql"
    finally:
        server.stop()


def alpn(port: int) -> str | None:
    """The protocol that the server chooses for encrypted connections."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(struct.pack("!II", 8, 80877103))
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as encrypted:
            return encrypted.selected_alpn_protocol()


def test_one_of_two_files_is_refused(tmp_path: Path, new_laminar: Callable[..., LaminarServer]) -> None:
    cert, _ = certificate(tmp_path)
    config = tmp_path / "laminar.toml"
    config.write_text(f'tls_cert_file = "{cert}"\n')
    with pytest.raises(RuntimeError, match="tls_cert_file and tls_key_file need each other"):
        new_laminar("--config", str(config))
