"""SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL does it: verifiers and the server's side.

A verifier is what is stored instead of a password:
``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>``, all but the number in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from laminar import errors
from laminar.errors import PgError

DEFAULT_ITERATIONS: Final = 4096
SALT_LENGTH: Final = 16
_MECHANISM: Final = "SCRAM-SHA-256"
_PLUS: Final = "SCRAM-SHA-256-PLUS"
_NONCE_LENGTH: Final = 18
#: GS2 header (channel binding flag, authorization identity), user name, nonce, extensions to ignore
_CLIENT_FIRST: Final = (
    r"((?:p=[A-Za-z0-9.-]+|[ny]),(a=[^,]*)?,)(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,[^m=,]=[^,]*)*)"
)
#: makes up salts for users that don't exist: the same for a name as long as the server runs
_MOCK_SECRET: Final = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Verifier:
    """A parsed verifier."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(x).decode() for x in (self.salt, self.stored_key, self.server_key)
        )
        return f"{_MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def make_verifier(password: str, iterations: int = DEFAULT_ITERATIONS, salt: bytes | None = None) -> str:
    """The verifier of a password, in the form pg_authid.rolpassword has it."""
    salt = secrets.token_bytes(SALT_LENGTH) if salt is None else salt
    salted = _salted(password, salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return str(Verifier(iterations, salt, stored, _hmac(salted, b"Server Key")))


def parse_verifier(text: str) -> Verifier:
    """Take a verifier apart.

    Raises:
        ValueError: it isn't one.
    """
    match = re.fullmatch(r"SCRAM-SHA-256\$(\d{1,9}):([^$:]+)\$([^$:]+):([^$:]+)", text)
    if match is None:
        raise ValueError("not a SCRAM-SHA-256 verifier")
    salt, stored, server = (_b64(group) for group in match.group(2, 3, 4))
    if not salt or len(stored) != 32 or len(server) != 32 or int(match[1]) < 1:
        raise ValueError("not a SCRAM-SHA-256 verifier")
    return Verifier(int(match[1]), salt, stored, server)


def is_verifier(text: str) -> bool:
    """Whether the text is a verifier (and so, given as a password, is stored as it is)."""
    try:
        parse_verifier(text)
    except ValueError:
        return False
    return True


def check_password(password: str, verifier: str) -> bool:
    """Whether the password is the verifier's; takes the same time either way."""
    parsed = parse_verifier(verifier)
    salted = _salted(password, parsed.salt, parsed.iterations)
    return hmac.compare_digest(parsed.server_key, _hmac(salted, b"Server Key"))


def certificate_hash(pem: bytes) -> bytes:
    """What channel binding tls-server-end-point is about (RFC 5929): the certificate's hash, by the function
    of its signature, SHA-256 in place of MD5 and SHA-1.

    Raises:
        ValueError: not a certificate in PEM form.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


class ScramServer:
    """One exchange.

    Args:
        user: the name from the start-up packet (the one inside the exchange is ignored).
        verifier: the stored verifier; None carries the exchange out against a made-up one,
            so that it cannot be told from a wrong password.
        channel_binding: hash of the server's certificate when the connection is encrypted.
    """

    def __init__(self, user: str, verifier: str | None, channel_binding: bytes | None = None) -> None:
        self._user = user
        self._binding = channel_binding
        self._known = verifier is not None and is_verifier(verifier)
        self._verifier = parse_verifier(verifier) if verifier and self._known else _mock_verifier(user)
        self._mechanism = _MECHANISM
        self._gs2 = b""
        self._client_first_bare = b""
        self._server_first = b""
        self._nonce = ""

    @property
    def mechanisms(self) -> list[str]:
        """What is offered, best first."""
        return [_PLUS, _MECHANISM] if self._binding is not None else [_MECHANISM]

    def select(self, mechanism: str) -> None:
        """The client's choice among the mechanisms."""
        if mechanism not in self.mechanisms:
            raise _violation("client selected an invalid SASL authentication mechanism")
        self._mechanism = mechanism

    def first(self, message: bytes) -> bytes:
        """client-first-message in, server-first-message out."""
        text = _text(message)
        match = re.fullmatch(_CLIENT_FIRST, text)
        if match is None:
            raise _violation("malformed SCRAM message")
        gs2, authzid, bare, nonce = match.groups()
        if authzid is not None:
            raise PgError(
                errors.FEATURE_NOT_SUPPORTED,
                "client uses authorization identity, but it is not supported",
                severity="FATAL",
            )
        self._check_binding_flag(gs2)
        self._gs2 = gs2.encode()
        self._client_first_bare = bare.encode()
        self._nonce = nonce + base64.b64encode(secrets.token_bytes(_NONCE_LENGTH)).decode()
        salt = base64.b64encode(self._verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={self._verifier.iterations}".encode()
        return self._server_first

    def final(self, message: bytes) -> bytes:
        """client-final-message in, server-final-message out.

        Raises:
            PgError: 28P01 for a wrong proof, 08P01 for a malformed message.
        """
        match = re.fullmatch(r"(c=([^,]+),r=([^,]+)(?:,[^p=,]=[^,]*)*),p=([^,]+)", _text(message))
        if match is None:
            raise _violation("malformed SCRAM message")
        without_proof, binding, nonce, proof_text = match.groups()
        expected = self._gs2 + (self._binding or b"" if self._gs2.startswith(b"p=") else b"")
        if not hmac.compare_digest(base64.b64encode(expected).decode(), binding):
            raise PgError(
                errors.INVALID_AUTHORIZATION, "SCRAM channel binding check failed", severity="FATAL"
            )
        if not hmac.compare_digest(self._nonce.encode(), nonce.encode()):
            raise _violation("malformed SCRAM message", "Nonce does not match.")
        auth_message = b",".join((self._client_first_bare, self._server_first, without_proof.encode()))
        if not (self._proves(proof_text, auth_message) and self._known):
            raise PgError(
                errors.INVALID_PASSWORD,
                f'password authentication failed for user "{self._user}"',
                severity="FATAL",
            )
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, auth_message))

    def _check_binding_flag(self, gs2: str) -> None:
        if self._mechanism == _PLUS:
            if not gs2.startswith("p="):
                raise _violation(
                    "malformed SCRAM message",
                    "The client selected SCRAM-SHA-256-PLUS, "
                    "but the SCRAM message does not include channel binding data.",
                )
            if not gs2.startswith("p=tls-server-end-point,"):
                raise _violation("unsupported SCRAM channel-binding type")
        elif gs2.startswith("p="):
            raise _violation(
                "malformed SCRAM message",
                "The client selected SCRAM-SHA-256 without channel binding, "
                "but the SCRAM message includes channel binding data.",
            )
        elif gs2.startswith("y") and self._binding is not None:
            # somebody in between took the offer away
            raise PgError(
                errors.INVALID_AUTHORIZATION,
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not.  "
                "However, this server does support channel binding.",
                severity="FATAL",
            )

    def _proves(self, proof_text: str, auth_message: bytes) -> bool:
        try:
            proof = _b64(proof_text)
        except ValueError:
            raise _violation("malformed SCRAM message", "Malformed proof in client-final-message.") from None
        if len(proof) != 32:
            raise _violation("malformed SCRAM message", "Malformed proof in client-final-message.")
        signature = _hmac(self._verifier.stored_key, auth_message)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key)


def saslprep(password: str) -> str:
    """Normalise a password (RFC 4013); what the profile prohibits stays as it was, as in PostgreSQL."""
    mapped = "".join(
        " " if stringprep.in_table_c12(ch) else ch for ch in password if not stringprep.in_table_b1(ch)
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not normal or any(_prohibited(ch) for ch in normal):
        return password
    if any(stringprep.in_table_d1(ch) for ch in normal):
        mixed = any(stringprep.in_table_d2(ch) for ch in normal)
        ends = stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1])
        if mixed or not ends:
            return password
    return normal


_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _prohibited(char: str) -> bool:
    return any(table(char) for table in _PROHIBITED)


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _b64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise _violation("malformed SCRAM message") from None


def _mock_verifier(user: str) -> Verifier:
    salt = _hmac(_MOCK_SECRET, user.encode("utf-8", "replace"))[:SALT_LENGTH]
    return Verifier(DEFAULT_ITERATIONS, salt, secrets.token_bytes(32), secrets.token_bytes(32))


def _violation(message: str, detail: str | None = None) -> PgError:
    return PgError(errors.PROTOCOL_VIOLATION, message, detail=detail, severity="FATAL")
