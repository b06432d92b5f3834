"""Keys and certificates for tests of signatures and TLS."""

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Person:
    """A key, and its certificate, issued by an authority or by itself. `hosts`: the addresses it is for."""

    def __init__(
        self,
        name,
        *,
        issuer=None,
        begins=NOW - DAY,
        ends=NOW + 30 * DAY,
        signs=True,
        use=None,
        ca=False,
        hosts=(),
    ):
        self.name, self.key = name, ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        others = ("data_encipherment", "key_agreement", "encipher_only", "decipher_only")
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(issuer.certificate.subject if issuer else own)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=signs,
                    content_commitment=signs,
                    key_encipherment=not signs,
                    key_cert_sign=ca,
                    crl_sign=ca,
                    **dict.fromkeys(others, False),
                ),
                critical=True,
            )
        )
        if use is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if hosts:
            names = [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())

    def pem(self, path, passphrase=""):
        secret = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
        path.write_bytes(key + self.certificate.public_bytes(Encoding.PEM))
        return path

    def pkcs12(self, path, passphrase):
        secret = BestAvailableEncryption(passphrase.encode())
        path.write_bytes(serialize_key_and_certificates(b"x", self.key, self.certificate, None, secret))
        return path

    def trusted(self, path):
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path


SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
