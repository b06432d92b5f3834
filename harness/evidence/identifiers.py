"""Names that tell nothing: study and patient ids as keyed HMACs."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from harness.errors import HarnessError, LedgerError

KEY_NAME: Final = "identifiers.key"
OLDEST: Final = 89
"""Single years of age above this identify (45 CFR 164.514(b)(2)(i)(C))."""


class Identifiers:
    """Study and patient ids as HMAC-SHA-256 (RFC 2104), cut to 128 bits, 32 hexadecimal digits.

    Without the key no id can be tried against them; with it, the holder of the run finds every study
    again. A study and a patient of the same name get different ones.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def study(self, study_id: str) -> str:
        """The name of a study."""
        return self._name("study", study_id)

    def patient(self, patient_id: str) -> str:
        """The name of a patient."""
        return self._name("patient", patient_id)

    def _name(self, kind: str, name: str) -> str:
        return hmac.digest(self._key, f"{kind}:{name}".encode(), "sha256")[:16].hex()


def open_identifiers(run: Path, key: Path | None = None) -> Identifiers:
    """The names used for a run; its key is made on first use and stays in the run folder.

    Args:
        run: run folder.
        key: a key file to use instead, so that several runs share their names.

    Raises:
        HarnessError: the key cannot be read, or is none.
        LedgerError: no key is there and none can be written.
    """
    path = key or run / KEY_NAME
    if key is None and not path.exists():
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(32) + "\n")
        except OSError as error:
            raise LedgerError(f"{path}: cannot be written: {error.strerror}; name a key file") from None
    try:
        found = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        raise HarnessError(f"{path}: not a key; it must hold 64 hexadecimal digits") from None
    if len(found) != 32:
        raise HarnessError(f"{path}: not a key; it must hold 64 hexadecimal digits")
    return Identifiers(found)


def check_ages(groups: Iterable[Mapping[str, str]]) -> None:
    """Refuses groups that tell a single age above 89.

    Raises:
        HarnessError: there is one; says how to put it right.
    """
    for group in groups:
        age = group.get("age", "")
        if re.fullmatch(r"\d{2,3}", age) and int(age) > OLDEST:
            raise HarnessError(
                f"the cohort's groups of age hold single ages above {OLDEST}, which identify; "
                "group them (80+) in the cohort file and run again"
            )
