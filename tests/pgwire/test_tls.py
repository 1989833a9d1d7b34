"""Encrypted connections, with and without channel binding."""

from __future__ import annotations

import datetime
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from laminar.security.scram import certificate_hash, make_verifier

from .conftest import Running, run_server
from .raw import RawClient, error_fields, startup


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Running]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA384())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "cert").write_bytes(pem)
    (tmp_path / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    yield from run_server(tls=context, certificate_hash=certificate_hash(pem))


def test_scram_with_channel_binding(encrypted: Running) -> None:
    encrypted.db.auth = "scram"
    encrypted.db.verifiers["test"] = make_verifier("secret")
    for binding in ("require", "disable"):
        with psycopg.connect(
            encrypted.dsn, password="secret", sslmode="require", channel_binding=binding
        ) as connection:
            assert connection.pgconn.ssl_in_use
            assert connection.execute("COUNT 100000").fetchall()[-1] == (99999,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(encrypted.dsn, password="no", sslmode="require", channel_binding=binding)


def test_without_tls_still_served(encrypted: Running) -> None:
    with psycopg.connect(encrypted.dsn, sslmode="disable") as connection:
        assert not connection.pgconn.ssl_in_use


def test_clear_text_after_the_request_is_refused(encrypted: Running) -> None:
    with RawClient(encrypted.port, log_in=False) as client:
        client.send(struct.pack("!ii", 8, 80877103), startup())
        assert client.socket.recv(1) == b"S"
        code, body = client.until_ready()[-1]
        assert code == "E"
        assert error_fields(body)["M"] == "received unencrypted data after SSL request"
