"""Encryption of clients' connections, from the configured certificate."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from laminar.errors import INVALID_PARAMETER_VALUE, PgError
from laminar.security.scram import certificate_hash

if TYPE_CHECKING:
    from laminar.config import Settings


def load_tls(settings: Settings) -> tuple[ssl.SSLContext | None, bytes | None]:
    """The context, and the certificate's hash for channel binding; (None, None) without a certificate.

    Raises:
        PgError: 22023 when one of the two files is missing or cannot be used.
    """
    cert, key = settings.tls_cert_file, settings.tls_key_file
    if cert is None and key is None:
        return None, None
    if cert is None or key is None:
        raise PgError(INVALID_PARAMETER_VALUE, "tls_cert_file and tls_key_file need each other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    try:
        context.load_cert_chain(cert, key)
        return context, certificate_hash(cert.read_bytes())
    except (OSError, ValueError, ssl.SSLError) as error:
        raise PgError(
            INVALID_PARAMETER_VALUE,
            f'cannot use the certificate "{cert}" with the key "{key}": {error}',
            hint="Both must be PEM files that the server may read.",
        ) from None
