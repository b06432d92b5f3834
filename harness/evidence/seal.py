"""The manifest of a packet: size and digest of every file in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from harness.digests import digest_file, digest_value
from harness.errors import LedgerError
from harness.ledger import write_atomically

MANIFEST: Final = "manifest.json"


def seal(folder: Path, run: Path, *, public: bool = False) -> Path:
    """Writes manifest.json over every file of a packet; call it when all others are there.

    Args:
        folder: of the packet.
        run: that it is about.
        public: whether it is the public variant.

    Raises:
        LedgerError: the run cannot be read, or the manifest cannot be written.
    """
    try:
        ledger = json.loads((run / "results.json").read_bytes())["ledger"]
    except (OSError, ValueError, KeyError, TypeError):
        raise LedgerError(f"{run / 'results.json'}: cannot be read") from None
    return write_manifest(folder, {"variant": "public" if public else "internal", "ledger": ledger})


def write_manifest(folder: Path, facts: dict[str, Any]) -> Path:
    """Writes the manifest anew, with facts that stay the same."""
    files = packet_files(folder)
    content = {
        "format": 1,
        **facts,
        "content": content_digest({name: item["sha256"] for name, item in files.items()}),
        "files": files,
    }
    write_atomically(folder / MANIFEST, json.dumps(content, indent=1).encode() + b"\n")
    return folder / MANIFEST


def packet_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> size and SHA-256 of every file in a packet but the manifest, sorted by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): {"sha256": digest_file(path), "size": path.stat().st_size}
        for path in paths
        if path != folder / MANIFEST
    }


def content_digest(digests: dict[str, str]) -> str:
    """SHA-256 (hex) of everything that signing does not change: all files but the PDFs.

    Each signature is over this digest too, so that it also binds the pages and the evidence beside
    the document it is in.
    """
    return digest_value(
        [[name, digest] for name, digest in sorted(digests.items()) if not name.endswith(".pdf")]
    )
