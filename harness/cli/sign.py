"""`harness sign`: sign the documents of a packet, or the head of a run's log."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Any

PASSPHRASE = "HARNESS_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "sign",
        help="sign the PDFs of a packet (PAdES), or the head of a run's log (Ed25519)",
        description="Signs every PDF of a packet, or those named, and seals its manifest again. Author, "
        "then reviewers, then approver; the approver is not the author. Given a run folder, signs the head "
        f"of its log. A passphrase is read from {PASSPHRASE}, or asked for.",
    )
    verb.add_argument("folder", type=Path, metavar="DIR", help="packet, or run folder")
    verb.add_argument("documents", nargs="*", metavar="PDF", help="names of documents in it; default: all")
    key = verb.add_mutually_exclusive_group(required=True)
    key.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="PKCS#12, or PEM with the certificate; for a log: Ed25519 PEM",
    )
    key.add_argument(
        "--development-key",
        type=Path,
        metavar="FILE",
        help="a key for trying out, named as such on the page; made if it is not there",
    )
    verb.add_argument("--name", help="who signs, as the certificate names them")
    verb.add_argument("--role", choices=("author", "reviewer", "approver"))
    verb.add_argument("--meaning", help="what the signature means, such as: I wrote this document")
    verb.add_argument("--tsa", default="", metavar="URL", help="time-stamp authority (RFC 3161)")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Signs."""
    from harness.errors import HarnessError
    from harness.evidence.keys import load_signing_key, make_development_key
    from harness.evidence.sign import Signer, sign_packet

    if (options.folder / "run.json").exists():
        return _sign_log(options)
    missing = [f"--{name}" for name in ("name", "role", "meaning") if not getattr(options, name)]
    if missing:
        raise HarnessError(f"a signature states who, as what, and why: {', '.join(missing)} missing")
    path = options.key or options.development_key
    if options.development_key and not path.exists():
        make_development_key(path, options.name)
    key = load_signing_key(path, lambda: _passphrase(path))
    if options.development_key and not key.development:
        raise HarnessError(f"{path}: is no development key; give it as --key")
    signer = Signer(key, options.name, options.role, options.meaning, options.tsa)
    for name in sign_packet(options.folder, signer, options.documents):
        print(f"signed   {options.folder / name}")
    if key.development:
        print("with a DEVELOPMENT KEY: named so on the page; not for submission")
    print(f"sealed   {options.folder / 'manifest.json'}")
    return 0


def _sign_log(options: argparse.Namespace) -> int:
    from harness.chain_head import sign_head
    from harness.evidence.keys import load_log_key, make_log_key

    path = options.key or options.development_key
    if options.development_key and not path.exists():
        make_log_key(path)
    head = sign_head(options.folder / "log.jsonl", load_log_key(path, lambda: _passphrase(path)))
    print(f"signed   {options.folder / 'log.head.json'}: {head.seq + 1} lines, by key {head.public_key}")
    return 0


def _passphrase(path: Path) -> str:
    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE]
    return getpass.getpass(f"Passphrase of {path}: ") if sys.stdin.isatty() else ""
