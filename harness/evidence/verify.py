"""`harness verify`: whether a packet is what was sealed, and its numbers are those of its evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, LedgerError
from harness.evidence.derived import (
    NOT_DERIVED,
    check_analyses,
    check_chain,
    check_counts,
    check_cover,
    check_identity,
    check_numbers,
    check_rows,
    read_numbers,
)
from harness.evidence.pages import check_html, check_pdf
from harness.evidence.rerun import check_run
from harness.evidence.seal import manifest_problems, read_manifest
from harness.evidence.signatures import Signature, order_problems, read_signatures

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Check:
    """One step of the verification."""

    name: str
    told: str
    """What was looked at."""
    problems: tuple[str, ...]
    """Each with its place; empty where all holds."""


@dataclass(slots=True)
class Account:
    """Everything that was checked."""

    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no fault, but must be known: unsigned, untrusted, development keys."""

    @property
    def problems(self) -> list[str]:
        """Of all steps."""
        return [problem for check in self.checks for problem in check.problems]

    def step(self, name: str, act: Callable[[], tuple[str, Sequence[str]]]) -> None:
        """Takes a step; what it raises is a problem, and the next step is taken nevertheless."""
        try:
            told, problems = act()
        except HarnessError as error:
            told, problems = "could not be checked", str(error).splitlines()
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            # Evidence bent out of shape in a way that no reader foresaw.
            told, problems = "could not be checked", [f"{name}: the evidence is damaged ({error!r})"]
        self.checks.append(Check(name, told, tuple(problems)))


def verify_packet(
    folder: Path, *, trust: Sequence[Certificate] | None = None, run: Path | None = None
) -> Account:
    """Checks a packet; needs no model and no network.

    Args:
        folder: the packet.
        trust: certificates that signatures must lead back to; then a document without a trusted
            signature is a problem. None: trust is not asked about.
        run: the run folder, to compare the evidence with it too.

    Raises:
        LedgerError: there is no packet.
    """
    manifest = read_manifest(folder)
    public = manifest["variant"] == "public"
    evidence = folder / "evidence"
    account = Account()

    def sealed() -> tuple[str, Sequence[str]]:
        return f"{len(manifest['files'])} files by size and SHA-256", manifest_problems(folder, manifest)

    def numbers() -> tuple[str, Sequence[str]]:
        register = read_numbers(evidence)
        return f"{len(register):,} printed numbers", [*check_numbers(evidence), *check_html(folder, register)]

    def documents() -> tuple[str, Sequence[str]]:
        found = []
        try:
            register = read_numbers(evidence)
        except LedgerError:  # told by the step before
            register = []
        paths = sorted(folder.glob("*.pdf"))
        for path in paths:
            records = [record for record in register if record["document"] == path.stem]
            found += check_pdf(path, records, evidence)
        missing = {str(record["document"]) for record in register} - {path.stem for path in paths}
        found += [f"{folder / name}.pdf: is missing" for name in sorted(missing)]
        return f"{len(paths)} PDFs: attachments as beside them, numbers on their pages", found

    def derived() -> tuple[str, Sequence[str]]:
        if public:
            return "rates as their counts; rows stay inside", check_counts(evidence)
        return "estimates and verdict derived again from the rows", check_rows(evidence)

    def analyses() -> tuple[str, Sequence[str]]:
        found = [*check_analyses(evidence, public=public), *check_cover(folder)]
        if public:
            return "the packet file and what the lock calls for", found
        return f"worked out again, but {', '.join(sorted(NOT_DERIVED))}", found

    account.step("manifest", sealed)
    account.step("chain", lambda: (check_chain(evidence), ()))
    account.step(
        "identity",
        lambda: (
            "run, suite, results, environment and lock as the log has them",
            check_identity(evidence, manifest["ledger"], public=public),
        ),
    )
    account.step("rows", derived)
    account.step("analyses", analyses)
    account.step("numbers", numbers)
    account.step("documents", documents)
    account.step("signatures", lambda: _signatures(folder, manifest["content"], trust, account.notes))
    if run is not None:
        account.step("run", lambda: check_run(run, evidence, manifest, account.notes))
    return account


def _signatures(
    folder: Path, content: str, trust: Sequence[Certificate] | None, notes: list[str]
) -> tuple[str, Sequence[str]]:
    found, count = [], 0
    told: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.pdf")):
        try:
            signatures = read_signatures(path.read_bytes(), str(path), trust)
        except HarnessError as error:
            found.append(str(error))
            continue
        count += len(signatures)
        for item in signatures:
            found += [f"{path}: signature {item.field}: {what}" for what in _problems(item, content)]
            trusted = {True: "trusted", False: "NOT TRUSTED", None: "trust not asked about"}[item.trusted]
            told.setdefault(f"{item.sentence} ({trusted})", []).append(path.stem)
        found += [f"{path}: {problem}" for problem in order_problems(signatures)]
        if not signatures:
            told.setdefault("not signed", []).append(path.stem)
            if trust is not None:
                found.append(f"{path}: carries no signature that could be trusted")
    notes += [f"{sentence}: {', '.join(names)}" for sentence, names in told.items()]
    return f"{count} signatures", found


def _problems(item: Signature, content: str) -> list[str]:
    found = list(item.problems)
    if item.content != content:
        found.append("is over other pages or evidence than those beside it")
    if item.trusted is False:
        found.append(f"the certificate of {item.name} does not lead back to one that is trusted")
    return found
