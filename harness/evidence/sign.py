"""Signing a packet: PAdES signatures in its PDFs, and the manifest sealed again under them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, LedgerError
from harness.evidence.keys import SigningKey, common_name, objections, same_name
from harness.evidence.seal import manifest_problems, read_manifest, write_manifest
from harness.evidence.signatures import (
    CONTENT,
    ROLES,
    Role,
    Signature,
    asn1,
    not_installed,
    order_problems,
    read_signatures,
)
from harness.evidence.stamp import box_of, draw_box
from harness.ledger import write_atomically

LONGEST: Final = 300
"""Characters of a meaning."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, as what, and what it means."""

    key: SigningKey
    name: str
    role: Role
    meaning: str
    tsa: str = ""
    """URL of a time-stamp authority (RFC 3161); "" for the signer's own clock."""


def sign_packet(folder: Path, signer: Signer, documents: Sequence[str] = ()) -> list[str]:
    """Signs PDFs of a packet and seals its manifest again; returns their names.

    Each signature also binds the pages and evidence beside its document, by their digest.

    Args:
        folder: the packet.
        signer: who signs.
        documents: names of PDFs in the folder; () for all.

    Raises:
        HarnessError: the key, the name or the role cannot sign here and now; says why.
        LedgerError: the packet was changed since it was sealed.
    """
    _check(signer)
    manifest = read_manifest(folder)
    if problems := manifest_problems(folder, manifest):
        raise LedgerError(f"{problems[0]}; a changed packet is not signed")
    there = sorted(path.name for path in folder.glob("*.pdf"))
    if unknown := sorted(set(documents) - set(there)):
        raise HarnessError(f"{folder / unknown[0]}: no such document; there are: {', '.join(there)}")
    names = list(documents) or there
    if not names:
        raise HarnessError(f"{folder}: holds no PDF to sign")
    content = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        _check_turn(folder / name, content[name], signer)
    signed = {name: _sign(content[name], signer, manifest["content"]) for name in names}
    for name, pdf in signed.items():
        write_atomically(folder / name, pdf)
    write_manifest(folder, {key: manifest[key] for key in ("variant", "ledger")})
    return names


def _check(signer: Signer) -> None:
    whose = common_name(signer.key.certificate)
    if not same_name(signer.name, whose):
        raise HarnessError(
            f"the certificate is of {whose or 'nobody'}, not of {signer.name}; sign under its name"
        )
    if not signer.meaning.strip() or len(signer.meaning) > LONGEST or not signer.meaning.isprintable():
        raise HarnessError(f"a signature needs a meaning, one line of at most {LONGEST} characters")
    if found := objections(signer.key.certificate, datetime.now(UTC)):
        raise HarnessError(f"the certificate of {signer.name} {found[0]}; it cannot sign")


def _check_turn(path: Path, pdf: bytes, signer: Signer) -> None:
    """Refuses what would make the order of signatures wrong, or a signature over a broken one."""
    there = read_signatures(pdf, str(path))
    for item in there:
        if item.problems:
            raise LedgerError(
                f"{path}: signature {item.field}: {item.problems[0]}; nothing is signed on top of it"
            )
    mine = Signature(
        field="",
        role=signer.role,
        name=signer.name,
        signed_at=datetime.now(UTC),
        stamped=False,
        meaning=signer.meaning,
        content="",
        certificate=signer.key.certificate,
        problems=(),
        trusted=None,
    )
    if found := order_problems([*there, mine]):
        raise HarnessError(f"{path}: cannot be signed as {signer.role}: {found[0]}")


def _sign(pdf: bytes, signer: Signer, content: str) -> bytes:
    try:
        from asn1crypto.keys import PrivateKeyInfo
        from pyhanko.pdf_utils.content import ImportedPdfPage
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign import fields, signers, timestamps
        from pyhanko.stamp import StaticStampStyle
        from pyhanko_certvalidator.registry import SimpleCertificateStore
    except ImportError:
        raise not_installed() from None
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = signer.key
    store = SimpleCertificateStore()
    store.register_multiple([asn1(item) for item in key.chain])
    private = key.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    by: Any = signers.SimpleSigner(asn1(key.certificate), PrivateKeyInfo.load(private), store)
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    taken = {name for name, _, _ in fields.enumerate_sig_fields(writer)}
    field = next(name for name in _field_names(signer.role) if name not in taken)
    page = writer.root["/Pages"]["/Kids"][0]
    while page["/Type"] == "/Pages":
        page = page["/Kids"][0]
    media = page.get("/MediaBox") or [0, 0, 595, 842]
    # A second reviewer has no box of his own; his signature is in the document's list of signatures.
    box = box_of(ROLES.index(signer.role), float(media[2])) if field == signer.role else None
    meta = signers.PdfSignatureMetadata(
        field_name=field,
        md_algorithm="sha256",
        name=signer.name,
        reason=f"{signer.role}: {signer.meaning}",
        contact_info=CONTENT + content,
        subfilter=fields.SigSeedSubFilter.PADES,
        signer_key_usage=set(),
    )
    stamper = timestamps.HTTPTimeStamper(signer.tsa) if signer.tsa else None
    with tempfile.TemporaryDirectory() as scratch:
        style = None
        if box is not None:
            drawn = Path(scratch) / "box.pdf"
            size = (box[2] - box[0], box[3] - box[1])
            drawn.write_bytes(
                draw_box(size, signer.role, signer.name, datetime.now(UTC), signer.meaning, key.development)
            )
            style = StaticStampStyle(border_width=0, background=ImportedPdfPage(str(drawn)))
        out = io.BytesIO()
        try:
            signers.PdfSigner(
                meta,
                by,
                timestamper=stamper,
                stamp_style=style,
                new_field_spec=fields.SigFieldSpec(field, on_page=0, box=box),
            ).sign_pdf(writer, output=out)
        except (OSError, timestamps.TimestampRequestError) as error:
            raise HarnessError(
                f"{signer.tsa}: no time stamp came from there: {error}; nothing was signed"
            ) from None
    return out.getvalue()


def _field_names(role: Role) -> Any:
    yield role
    for number in range(2, 1000):
        yield f"{role}-{number}"
