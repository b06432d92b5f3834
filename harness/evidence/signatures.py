"""Signatures in a PDF, read back: who, as what, when, with which meaning, and whether they hold."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from harness.errors import HarnessError, LedgerError
from harness.evidence.keys import common_name, is_development, objections, same_name

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Role = Literal["author", "reviewer", "approver"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""In the order in which they sign."""
CONTENT: Final = "content sha256 "
"""How a signature's contact information names the manifest's `content`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a document (21 CFR 11.50: printed name, date and time, meaning)."""

    field: str
    role: str
    name: str
    signed_at: datetime
    """By the time stamp authority where there was one, else as the signer's clock had it."""
    stamped: bool
    """Whether a time stamp authority says so."""
    meaning: str
    content: str
    """SHA-256 (hex) of the pages and evidence that were signed along."""
    certificate: Certificate
    problems: tuple[str, ...]
    """Why it does not hold; empty where it does."""
    trusted: bool | None
    """Whether it leads back to a trusted certificate; None where none was given."""

    @property
    def development(self) -> bool:
        """Whether it was made with a development key."""
        return is_development(self.certificate)

    @property
    def sentence(self) -> str:
        """One line for a person."""
        clock = "time-stamped" if self.stamped else "by the signer's clock"
        note = "; DEVELOPMENT KEY, not for submission" if self.development else ""
        return f"{self.role} {self.name}, {self.signed_at:%Y-%m-%d %H:%M %Z} ({clock}): {self.meaning}{note}"


def read_signatures(pdf: bytes, place: str, trust: Sequence[Certificate] | None = None) -> list[Signature]:
    """Every signature of a PDF, oldest first.

    Args:
        pdf: the document.
        place: names it in errors.
        trust: certificates to lead back to; None where trust is not asked about.

    Raises:
        LedgerError: it cannot be read as a PDF.
        HarnessError: pyHanko is not installed.
    """
    try:
        from pyhanko.pdf_utils.reader import PdfFileReader
    except ImportError:
        raise not_installed() from None
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    try:
        embedded = list(PdfFileReader(io.BytesIO(pdf), strict=False).embedded_signatures)
    except Exception as error:  # noqa: BLE001, RUF100 - a damaged PDF fails in ever new ways
        raise LedgerError(f"{place}: cannot be read as a PDF ({type(error).__name__})") from None
    return [_read(item, place, trust, last=item is embedded[-1]) for item in embedded]


def order_problems(signatures: Sequence[Signature]) -> list[str]:
    """What is wrong with who signed as what, in which order."""
    found = []
    roles = [item.role for item in signatures]
    known = [ROLES.index(role) for role in roles if role in ROLES]
    if len(known) != len(roles):
        found.append("a signature has no known role")
    if known != sorted(known):
        found.append("signed in the wrong order: author, then reviewers, then approver")
    if known and roles[0] != "author":
        found.append("no author signed before the others")
    found += [f"{role} signed twice" for role in ("author", "approver") if roles.count(role) > 1]
    for author in signatures:
        for approver in signatures:
            if (author.role, approver.role) == ("author", "approver") and same_person(author, approver):
                found.append("the approver is the author")
    return found


def same_person(one: Signature, other: Signature) -> bool:
    """Whether two signatures are one person's: by name or by key."""
    keys = [item.certificate.public_key() for item in (one, other)]
    return same_name(one.name, other.name) or bool(keys[0] == keys[1])


def load_certificates(path: Path) -> list[Certificate]:
    """Certificates to trust, PEM or DER.

    Raises:
        HarnessError: there is none in the file.
    """
    from cryptography import x509

    try:
        content = path.read_bytes()
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificates(content)
        return [x509.load_der_x509_certificate(content)]
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise HarnessError(f"{path}: holds no certificate") from None


def not_installed() -> HarnessError:
    """For where pyHanko is missing."""
    return HarnessError('pyHanko is not installed; pip install "harness[packet]"')


def asn1(certificate: Certificate) -> Any:
    """A certificate as pyHanko takes it."""
    from asn1crypto.x509 import Certificate as Asn1Certificate
    from cryptography.hazmat.primitives.serialization import Encoding

    return Asn1Certificate.load(certificate.public_bytes(Encoding.DER))


def _der(padded: bytes) -> bytes:
    """The signature without the zeros that fill its place."""
    from asn1crypto.cms import ContentInfo

    der: bytes = ContentInfo.load(padded).dump()
    return der


def _read(item: Any, place: str, trust: Sequence[Certificate] | None, *, last: bool) -> Signature:
    from cryptography import x509
    from pyhanko.sign.diff_analysis import ModificationLevel
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko.sign.validation.settings import KeyUsageConstraints
    from pyhanko.sign.validation.status import SignatureCoverageLevel
    from pyhanko_certvalidator import ValidationContext

    try:
        certificate = x509.load_der_x509_certificate(item.signer_cert.dump())
        claimed = item.self_reported_timestamp
        context = ValidationContext(
            trust_roots=[asn1(root) for root in trust or ()],
            moment=claimed,
            best_signature_time=claimed,
            allow_fetching=False,
        )
        status = validate_pdf_signature(
            item,
            signer_validation_context=context,
            ts_validation_context=ValidationContext(trust_roots=[], allow_fetching=False),
            # What a certificate is for is judged by `objections`.
            key_usage_settings=KeyUsageConstraints(key_usage=set()),
        )
    except Exception as error:  # noqa: BLE001, RUF100 - a damaged signature fails in ever new ways
        raise LedgerError(
            f"{place}: signature {item.field_name}: cannot be read ({type(error).__name__})"
        ) from None
    problems = []
    if not status.intact:
        problems.append("the document was changed after it was signed")
    elif not status.valid:
        problems.append("does not hold")
    if last and status.coverage is not SignatureCoverageLevel.ENTIRE_FILE:
        problems.append("something was appended after the last signature; it does not cover the whole file")
    if not last and (
        status.coverage is not SignatureCoverageLevel.ENTIRE_REVISION
        or status.modification_level is ModificationLevel.OTHER
    ):
        problems.append("what came after it changed more than the later signatures")
    if item.pkcs7_content[len(_der(item.pkcs7_content)) :].strip(b"\0"):
        problems.append("something was written behind it, where no signature covers it")
    stamp = status.timestamp_validity
    if stamp is not None and not (stamp.intact and stamp.valid):
        problems.append("its time stamp does not hold")
    stamped = stamp is not None and bool(stamp.intact and stamp.valid)
    signed_at = stamp.timestamp if stamp is not None and stamped else claimed
    if signed_at is None:
        raise LedgerError(f"{place}: signature {item.field_name}: states no time")
    problems += [f"the certificate {what}" for what in objections(certificate, signed_at)]
    texts = {key: str(item.sig_object.get(key, "")) for key in ("/Name", "/Reason", "/ContactInfo")}
    role, _, meaning = texts["/Reason"].partition(": ")
    if not same_name(texts["/Name"], common_name(certificate)):
        problems.append("the name is not that of the certificate")
    return Signature(
        field=item.field_name,
        role=role,
        name=texts["/Name"],
        signed_at=signed_at,
        stamped=stamped,
        meaning=meaning,
        content=texts["/ContactInfo"].removeprefix(CONTENT),
        certificate=certificate,
        problems=tuple(problems),
        trusted=None if trust is None else bool(status.trusted),
    )
