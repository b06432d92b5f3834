"""The anchored head of a log: how far it went, in a file of its own that may be signed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.digests import canonical_json
from harness.errors import HarnessError, LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM: Final = "Ed25519"
_NOT_INSTALLED: Final = 'cryptography is not installed; pip install "harness[packet]"'


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a log. A log whose tail was cut off no longer reaches it."""

    seq: int
    """Of that line; the first is 0."""
    digest: str
    time: str
    public_key: str = ""
    """Of who signed it, 32 bytes as hexadecimal digits; "" where nobody did."""
    signature: str = ""
    """Ed25519 (RFC 8032) over seq, digest and time in canonical JSON, hexadecimal."""

    @property
    def signed(self) -> bool:
        """Whether somebody signed it; `check_signature` tells whether that holds."""
        return bool(self.signature)

    @property
    def statement(self) -> bytes:
        """What a signature is over."""
        return canonical_json({"seq": self.seq, "digest": self.digest, "time": self.time}).encode()


def head_path(log: Path) -> Path:
    """Where the head of a log lies: `log.jsonl` -> `log.head.json`."""
    return log.with_suffix(".head.json")


def read_head(log: Path) -> Head | None:
    """The head beside a log; None where there is none.

    Raises:
        LedgerError: the file is not a head.
    """
    path = head_path(log)
    try:
        head = Head(**json.loads(path.read_bytes()))
        whole = isinstance(head.seq, int) and all(
            isinstance(text, str) for text in (head.digest, head.time, head.public_key, head.signature)
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        whole = False
    if not whole:
        raise LedgerError(f"{path}: is no head of a log; it is damaged")
    return head


def write_head(log: Path, head: Head) -> None:
    """Puts a head beside its log, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path = head_path(log)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(canonical_json(asdict(head)).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def check_head(log: Path, head: Head | None, lines: int, at_head: str, anchored: bool) -> None:
    """Whether a log, whose lines follow from each other, reaches its head.

    A crash may fall between a line and its head: the log may be one line ahead, never behind.

    Args:
        log: names the place.
        head: as `read_head` gives it.
        lines: how many the log has.
        at_head: the digest of the line that the head names, "" where there is none.
        anchored: whether the log's first line says that it has a head.

    Raises:
        LedgerError: the tail was cut off, the head is missing, or is of another log.
    """
    if head is None:
        if anchored and lines > 1:
            raise LedgerError(f"{head_path(log)}: is missing; the log cannot be shown to be whole")
        return
    if head.seq >= lines:
        raise LedgerError(
            f"{log}:{lines + 1}: is missing; the head names {head.seq + 1} lines, and {lines} are there: "
            "the tail was cut off"
        )
    if head.digest != at_head:
        raise LedgerError(
            f"{head_path(log)}: is not the head of this log; line {head.seq + 1} has another digest"
        )
    if head.seq < lines - 2:
        raise LedgerError(
            f"{head_path(log)}: names {head.seq + 1} lines, but {lines} are there; it is an older head"
        )


def sign_head(log: Path, key: Ed25519PrivateKey) -> Head:
    """Signs the head of a log that is complete; a line added later takes the signature away.

    Raises:
        LedgerError: the log has no head, or is damaged.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from harness.chain import Chain

    Chain(log).repair()
    head = read_head(log)
    if head is None:
        raise LedgerError(f"{head_path(log)}: is missing; there is nothing to sign")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signed = replace(head, public_key=public.hex(), signature=key.sign(head.statement).hex())
    write_head(log, signed)
    return signed


def check_signature(log: Path, head: Head) -> None:
    """Whether the signature of a signed head holds.

    Raises:
        LedgerError: it does not.
        HarnessError: cryptography is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise HarnessError(_NOT_INSTALLED) from None
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.public_key))
        key.verify(bytes.fromhex(head.signature), head.statement)
    except (InvalidSignature, ValueError):
        raise LedgerError(
            f"{head_path(log)}: its signature does not hold; it was changed after signing"
        ) from None


def head_account(head: Head | None) -> dict[str, Any]:
    """What a page says of a head: lines, digest, time, and by which key it was signed, if any."""
    if head is None:
        return {"lines": None, "digest": None, "time": None, "signed_by": None}
    return {
        "lines": head.seq + 1,
        "digest": head.digest,
        "time": head.time,
        "signed_by": head.public_key if head.signed else None,
    }
