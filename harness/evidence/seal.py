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


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a packet.

    Raises:
        LedgerError: there is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        whole = (
            found["format"] == 1
            and found["variant"] in ("internal", "public")
            and isinstance(found["ledger"], str)
            and isinstance(found["content"], str)
            and all(set(item) == {"sha256", "size"} for item in found["files"].values())
        )
    except FileNotFoundError:
        raise LedgerError(f"{path}: is missing; this is no packet of harness dossier") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise LedgerError(f"{path}: is no manifest of a packet; it is damaged")
    return found


def manifest_problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Every file that is not as the manifest has it: changed, missing, or not named by it."""
    stated, found = manifest["files"], packet_files(folder)
    problems = []
    for name in sorted({*stated, *found}):
        if name not in found:
            problems.append(f"{folder / name}: is missing")
        elif name not in stated:
            problems.append(f"{folder / name}: is not in the manifest; it was added after sealing")
        elif stated[name] != found[name]:
            was, size = stated[name]["size"], found[name]["size"]
            grown = "" if was == size else f" ({size:,} bytes, not {was:,})"
            problems.append(f"{folder / name}: was changed after it was sealed{grown}")
    if content_digest({name: item["sha256"] for name, item in stated.items()}) != manifest["content"]:
        problems.append(f"{folder / MANIFEST}: content does not follow from the files it names")
    return problems


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
