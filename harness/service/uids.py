"""DICOM unique identifiers for pictures that have none of their own."""

from __future__ import annotations

import hashlib


def derived_uid(*names: str) -> str:
    """A UID for a thing that has a name: "2.25." and 128 bits of the names' SHA-256 (PS3.5, B.2).

    The same names give the same UID; it tells nothing of them.
    """
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
