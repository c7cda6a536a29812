"""Certificates for tests: an authority of our own, whose files are made anew for each test run."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM
_LOOPBACK = [
    x509.DNSName("localhost"),
    x509.DNSName("tools.example"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
]


class Authority:
    """A certificate authority with its files in one directory; `path` is its own certificate."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self.directory, self.key = directory, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self._sign(self.name, self.key, ca=True).public_bytes(_PEM))

    def issue(self, *names: tuple[x509.ObjectIdentifier, str], password: bytes | None = None) -> tuple[Path, Path]:
        """Paths of a certificate and its key (mode 0600), for that subject, good for loopback's names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
        cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        certificate_path, key_path = (self.directory / f"{names[-1][1]}{suffix}" for suffix in (".crt", ".key"))
        certificate_path.write_bytes(self._sign(subject, key, ca=False).public_bytes(_PEM))
        key_path.touch(mode=0o600)
        key_path.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, cipher))
        return certificate_path, key_path

    def client_context(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a client needs that trusts this authority and no other, and shows this certificate."""
        context = ssl.create_default_context(cafile=self.path)
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self.name, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            # Python 3.13 checks certificates strictly (RFC 5280 §4.2.1): without these none is accepted.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(_usage(ca=ca), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(_LOOPBACK), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
