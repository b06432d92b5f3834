"""SHA-256 over values, files and installed software, in one canonical form."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, ASCII only; NaN is refused with ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_value(value: Any) -> str:
    """SHA-256 (hex) of a plain JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_object(parts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of an object, as `digest_value`.

    A value that is an iterator counts as the list of what it gives; one item of it is held at a time.
    """
    digest = hashlib.sha256(b"{")
    for number, key in enumerate(sorted(parts)):
        digest.update(f"{',' if number else ''}{canonical_json(key)}:".encode())
        if isinstance(parts[key], Iterator):
            _add_items(digest, parts[key])
        else:
            digest.update(canonical_json(parts[key]).encode())
    digest.update(b"}")
    return digest.hexdigest()


def digest_items(items: Iterable[Any]) -> str:
    """SHA-256 (hex) of a list of plain JSON values, as `digest_value`, holding one item at a time."""
    digest = hashlib.sha256()
    _add_items(digest, items)
    return digest.hexdigest()


def _add_items(digest: hashlib._Hash, items: Iterable[Any]) -> None:
    digest.update(b"[")
    for number, item in enumerate(items):
        digest.update(f"{',' if number else ''}{canonical_json(item)}".encode())
    digest.update(b"]")


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_tree(root: Path, pattern: str = "**/*") -> str:
    """SHA-256 (hex) over names and bytes of the files under a folder."""
    files = sorted(path for path in root.glob(pattern) if path.is_file())
    return digest_value([[path.relative_to(root).as_posix(), digest_file(path)] for path in files])


def code_digest() -> str:
    """SHA-256 (hex) over the harness's own Python and data files, as installed."""
    root = Path(__file__).parent
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix in (".py", ".yaml", ".json", ".html", ".css", ".txt") and path.is_file()
    )
    return digest_value([[path.relative_to(root).as_posix(), digest_file(path)] for path in files])


def code_revision() -> str:
    """The git commit of the harness's checkout, "+changes" if edited; "" when not in one."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(  # noqa: S603 - fixed words, no shell
        command, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def processor() -> str:
    """The name of the processor and how many cores this process may use: what times were taken on."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        name = next(
            (line.partition(":")[2] for line in told.splitlines() if line.startswith("model name")), ""
        )
    except OSError:
        name = ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return f"{name.strip() or platform.processor() or 'unnamed processor'}, {cores} cores"


def environment() -> dict[str, Any]:
    """Python, machine and every installed distribution with its version."""
    return {
        "python": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "packages": dict(sorted((dist.metadata["Name"].lower(), dist.version) for dist in distributions())),
    }
