"""TLS of the public listener: which versions and suites, client certificates, and what the application learns of them.

Source of the suites: Mozilla's "intermediate" profile, version 5.7, without its finite-field DHE suites, which no
browser of the last ten years needs.
"""

import ssl
from asyncio import Transport
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from gateway.errors import StartupError

# TLS 1.2 only with forward secrecy and authenticated encryption: no CBC, no RSA key exchange. The suites of TLS 1.3
# are all of that kind and are not in this list.
INTERMEDIATE: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def make_tls_context(certificate: Path, key: Path | None, client_ca: Path | None, *, optional: bool) -> ssl.SSLContext:
    """A server context from PEM files; with `client_ca`, clients need a certificate of that authority.

    `optional`: a client may come without one, but not with a wrong one.

    Raises:
        StartupError: a file is missing or unreadable, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(INTERMEDIATE)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key, client_ca):
        _require_readable(path)
    try:
        # An encrypted key must fail: without a password OpenSSL would ask for one on the terminal, and wait.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise StartupError(
            f"cannot use the TLS certificate {certificate} with the key {key or certificate}: {_cause(error)}",
            hint="both are PEM files, the key has no password, and the key is the one of the first certificate",
        ) from error
    if client_ca is not None:
        _trust(context, client_ca, optional=optional)
    return context


def _trust(context: ssl.SSLContext, client_ca: Path, *, optional: bool) -> None:
    try:
        context.load_verify_locations(cafile=client_ca)
    except ssl.SSLError as error:
        raise StartupError(
            f"cannot use the client certificate authority {client_ca}: {_cause(error)}",
            hint="name a PEM file with the certificates of the authorities that issue client certificates",
        ) from error
    context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED


def _require_readable(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.read_bytes()
    except OSError as error:
        raise StartupError(
            f"cannot read the TLS file {path}: {(error.strerror or 'unknown error').lower()}",
            hint="name a file that the user of this process can read",
        ) from error


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or str(error)
    return reason.replace("_", " ").lower()


def describe_tls(transport: Transport) -> dict[str, Any]:
    """The `tls` extension of an ASGI scope (ASGI TLS extension 0.2) for one connection after its handshake.

    The chain holds the client's own certificate only: what signed it was verified, and is our configuration.
    `server_cert` is None, which the specification provides for: ours is no secret, but nobody asks us for it.
    """
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "client_cert_name": x509.load_der_x509_certificate(der).subject.rfc4514_string() if der else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(tls.version() or ""),
        "cipher_suite": _cipher_suite(tls),
    }


def _cipher_suite(tls: ssl.SSLObject) -> int | None:
    """The suite's number in the IANA registry; OpenSSL's id has it in the lower 16 bits."""
    name = (tls.cipher() or (None,))[0]
    return next((suite["id"] & 0xFFFF for suite in tls.context.get_ciphers() if suite["name"] == name), None)
