"""Verifiers against PostgreSQL's and the RFC's, and the exchange against a client of our own."""

from __future__ import annotations

import base64
import hashlib
import hmac

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar.errors import PgError
from laminar.security.scram import (
    ScramServer,
    check_password,
    is_verifier,
    make_verifier,
    parse_verifier,
    saslprep,
)
from tests.harness.postgres import Postgres

# RFC 7677, section 3
RFC_PASSWORD, RFC_SALT, RFC_ITERATIONS = "pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096


def test_verifier_of_the_rfc() -> None:
    verifier = parse_verifier(make_verifier(RFC_PASSWORD, RFC_ITERATIONS, RFC_SALT))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(verifier.server_key, message, "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def client_final(
    password: str, server_first: bytes, bare: bytes, gs2: bytes = b"n,,", binding: bytes = b""
) -> bytes:
    fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", saslprep(password).encode(), base64.b64decode(fields["s"]), int(fields["i"])
    )
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without = b"c=" + base64.b64encode(gs2 + binding) + b",r=" + fields["r"].encode()
    signature = hmac.digest(
        hashlib.sha256(client_key).digest(), b",".join((bare, server_first, without)), "sha256"
    )
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return without + b",p=" + base64.b64encode(proof)


BARE = b"n=,r=abcdef"


def exchange(server: ScramServer, password: str, mechanism: str = "SCRAM-SHA-256", **options: bytes) -> bytes:
    server.select(mechanism)
    first = server.first(options.get("gs2", b"n,,") + BARE)
    return server.final(client_final(password, first, BARE, **options))


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12))
def test_only_the_right_password_gets_in(password: str) -> None:
    verifier = make_verifier(password, 1)
    assert check_password(password, verifier)
    assert exchange(ScramServer("u", verifier), password).startswith(b"v=")
    wrong = password + "x"
    assert not check_password(wrong, verifier)
    with pytest.raises(PgError) as caught:
        exchange(ScramServer("u", verifier), wrong)
    assert caught.value.sqlstate == "28P01"


@pytest.mark.parametrize("verifier", [None, "md5" + "0" * 32, "", "SCRAM-SHA-256$4096:x$y:z"])
def test_unknown_users_fail_like_wrong_passwords(verifier: str | None) -> None:
    server = ScramServer("nobody", verifier)
    server.select("SCRAM-SHA-256")
    first = server.first(b"n,," + BARE)
    again = ScramServer("nobody", verifier)
    assert first.split(b",")[1:] == again.first(b"n,," + BARE).split(b",")[1:]  # the same salt every time
    with pytest.raises(PgError) as caught:
        server.final(client_final("any", first, BARE))
    assert (caught.value.sqlstate, caught.value.severity) == ("28P01", "FATAL")


def test_channel_binding() -> None:
    verifier, binding = make_verifier("secret", 1), b"certificate hash"
    gs2 = b"p=tls-server-end-point,,"
    assert exchange(
        ScramServer("u", verifier, binding), "secret", "SCRAM-SHA-256-PLUS", gs2=gs2, binding=binding
    )
    for options, mechanism in [
        ({"gs2": gs2, "binding": b"another"}, "SCRAM-SHA-256-PLUS"),  # somebody in between
        ({"gs2": gs2}, "SCRAM-SHA-256-PLUS"),
        ({"gs2": b"p=tls-unique,,", "binding": binding}, "SCRAM-SHA-256-PLUS"),
        ({"gs2": b"n,,"}, "SCRAM-SHA-256-PLUS"),
        ({"gs2": gs2, "binding": binding}, "SCRAM-SHA-256"),
        ({"gs2": b"y,,"}, "SCRAM-SHA-256"),  # the offer was taken away on its way
    ]:
        with pytest.raises(PgError):
            exchange(ScramServer("u", verifier, binding), "secret", mechanism, **options)
    assert exchange(ScramServer("u", verifier), "secret", gs2=b"y,,")
    with pytest.raises(PgError):
        exchange(ScramServer("u", verifier), "secret", "SCRAM-SHA-256-PLUS", gs2=gs2, binding=binding)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_refused_cleanly(first: bytes, final: bytes) -> None:
    server = ScramServer("u", make_verifier("secret", 1))
    with pytest.raises(PgError):
        server.first(first)
        server.final(final)
    server.first(b"n,," + BARE)
    with pytest.raises(PgError):
        server.final(final)


PASSWORDS = [
    "secret",
    "sécret",
    "ℌ①",
    "a\u00adb",
    "a\u00a0b",
    "\u0627\u0628",
    "a\u0627",
    "\u0007bell",
    "x" * 200,
    "🎉",
]


def test_postgresql_takes_our_verifiers_and_we_take_its(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        for i, password in enumerate(PASSWORDS):
            connection.execute(f"CREATE ROLE r{i} LOGIN PASSWORD {psycopg.sql.quote(password)}")
            row = connection.execute(
                "SELECT rolpassword FROM pg_authid WHERE rolname = %s", (f"r{i}",)
            ).fetchone()
            assert row is not None and is_verifier(row[0]) and check_password(password, row[0]), password
            theirs = parse_verifier(row[0])
            assert make_verifier(password, theirs.iterations, theirs.salt) == row[0]
            connection.execute(f"DROP ROLE r{i}")


@pytest.mark.parametrize("text", ["", "secret", "SCRAM-SHA-256$0:YWJj$x:y", "SCRAM-SHA-1$4096:YWJj$x:y"])
def test_what_is_no_verifier(text: str) -> None:
    assert not is_verifier(text)
