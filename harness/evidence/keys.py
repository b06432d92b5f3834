"""Who signs: a key with its certificate, from PKCS#12 or PEM, and whether it may sign at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509 import Certificate

DEVELOPMENT: Final = "DEVELOPMENT KEY - not for submission"
"""The organisation that a development certificate names."""
VALID_DAYS: Final = 365

# Extended key usages under which documents are signed: RFC 9336, RFC 5280, Adobe's, Microsoft's, any.
_SIGNING_USES: Final = frozenset(
    (
        "1.3.6.1.5.5.7.3.36",
        "1.3.6.1.5.5.7.3.4",
        "1.2.840.113583.1.1.5",
        "1.3.6.1.4.1.311.10.3.12",
        "2.5.29.37.0",
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key, its certificate, and the certificates above that."""

    key: Any
    """As `cryptography` holds it: RSA, elliptic curve or Ed25519."""
    certificate: Certificate
    chain: tuple[Certificate, ...]

    @property
    def development(self) -> bool:
        """Whether it was made by `make_development_key`."""
        return is_development(self.certificate)


def load_signing_key(path: Path, passphrase: Callable[[], str]) -> SigningKey:
    """A key and certificate from a PKCS#12 file (.p12, .pfx) or a PEM file that holds both.

    Args:
        path: the file.
        passphrase: asked only where the file is encrypted.

    Raises:
        HarnessError: it cannot be read, the passphrase is wrong, or key and certificate do not belong
            together.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None
    found = (
        _pem(path, content, passphrase) if b"-----BEGIN" in content else _pkcs12(path, content, passphrase)
    )
    if found.key.public_key() != found.certificate.public_key():
        raise HarnessError(f"{path}: the certificate is not that of the key")
    return found


def make_development_key(path: Path, name: str) -> None:
    """Writes an elliptic-curve key (P-256) and a certificate that names itself a development key, as PEM.

    Raises:
        HarnessError: the file is there already, or cannot be written.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEVELOPMENT),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.now(UTC)
    usage = {"digital_signature": True, "content_commitment": True}
    others = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
              "encipher_only", "decipher_only")  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **dict.fromkeys(others, False)), critical=True)
        .sign(key, hashes.SHA256())
    )
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(path, content + certificate.public_bytes(Encoding.PEM))


def make_log_key(path: Path) -> None:
    """Writes an Ed25519 key for the heads of logs, as PEM.

    Raises:
        HarnessError: the file is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_log_key(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    """An Ed25519 key from a PEM file.

    Raises:
        HarnessError: it cannot be read, the passphrase is wrong, or it is another kind of key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        content = path.read_bytes()
        found = load_pem_private_key(content, passphrase().encode() if b"ENCRYPTED" in content else None)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise HarnessError(f"{path}: holds no private key, or the passphrase is wrong") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise HarnessError(f"{path}: the head of a log is signed with an Ed25519 key; this is another kind")
    return found


def write_private(path: Path, content: bytes) -> None:
    """Writes a new file that its owner alone can read.

    Raises:
        HarnessError: it is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)


def is_development(certificate: Certificate) -> bool:
    """Whether a certificate says that it is for development."""
    return DEVELOPMENT in _names(certificate, "2.5.4.10")


def common_name(certificate: Certificate) -> str:
    """Whom a certificate names; "" where nobody."""
    return next(iter(_names(certificate, "2.5.4.3")), "")


def same_name(one: str, other: str) -> bool:
    """Whether two names are one person's: case and spacing do not count."""
    return one.casefold().split() == other.casefold().split()


def objections(certificate: Certificate, moment: datetime) -> list[str]:
    """Why a certificate may not sign a document at a moment; empty where it may."""
    from cryptography import x509

    found = []
    if moment < certificate.not_valid_before_utc:
        found.append(f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if moment > certificate.not_valid_after_utc:
        found.append(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not (value.digital_signature or value.content_commitment):
            found.append("is not for signatures (key usage)")
        if isinstance(value, x509.BasicConstraints) and value.ca and common_name(certificate):
            found.append("is that of an authority, not of a person")
        if isinstance(value, x509.ExtendedKeyUsage):
            uses = {use.dotted_string for use in value}
            if not uses & _SIGNING_USES:
                found.append("is not for documents (extended key usage)")
    return found


def _pem(path: Path, content: bytes, passphrase: Callable[[], str]) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise HarnessError(
            f"{path}: holds no certificate; put key and certificate into one PEM file"
        ) from None
    try:
        secret = passphrase().encode() if b"ENCRYPTED" in content else None
        key = load_pem_private_key(content, secret)
    except (ValueError, TypeError):
        raise HarnessError(f"{path}: holds no private key, or the passphrase is wrong") from None
    own = [item for item in certificates if item.public_key() == key.public_key()]
    if not own:
        raise HarnessError(f"{path}: no certificate in it is that of the key")
    return SigningKey(key, own[0], tuple(item for item in certificates if item is not own[0]))


def _pkcs12(path: Path, content: bytes, passphrase: Callable[[], str]) -> SigningKey:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    try:
        found = load_pkcs12(content, passphrase().encode())
    except ValueError:
        raise HarnessError(f"{path}: is no PKCS#12 or PEM file, or the passphrase is wrong") from None
    if found.key is None or found.cert is None:
        raise HarnessError(f"{path}: must hold a private key and its certificate")
    return SigningKey(
        found.key, found.cert.certificate, tuple(item.certificate for item in found.additional_certs)
    )


def _names(certificate: Certificate, oid: str) -> list[str]:
    return [str(item.value) for item in certificate.subject if item.oid.dotted_string == oid]
