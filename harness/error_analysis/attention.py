"""What the model looked at, for chosen errors: maps of a candidate that can explain itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidates.base import Candidate
from harness.cohorts import open_cohort
from harness.cohorts.base import Cohort, case_digest
from harness.error_analysis.model import Error
from harness.errors import CandidateError, HarnessError
from harness.ledger import Ledger
from harness.report import Finding
from harness.study import Case
from harness.suite import read_suite

Key = tuple[str, Finding]
"""Study id and finding."""


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Maps over a picture, in its proportions, or why there is none."""

    maps: dict[Key, NDArray[np.float32]]
    """Values in [0, 1], shape (h, w) of the model's choice."""
    pictures: dict[Key, Path]
    """The picture that each map lies over."""
    why: dict[Key, str]


def check_explains(run: Path, candidate: Candidate) -> None:
    """Refuses a candidate that cannot explain itself, or that is not the one that was judged.

    Raises:
        CandidateError: it has no `explain`, or another digest than the run's candidate.
    """
    if not callable(getattr(candidate, "explain", None)):
        raise CandidateError(
            f"candidate {candidate.name} cannot explain itself (it has no method explain); leave "
            "--candidate out, or name one that can, such as multimodal"
        )
    judged = Ledger(run).identity["candidate"]
    if candidate.digest() != judged:
        raise CandidateError(
            f"candidate {candidate.name} is not the one that was judged: its digest is "
            f"{candidate.digest()[:12]}, the run's is {judged[:12]}; name the one that the run was made with"
        )


def attend(run: Path, candidate: Candidate, errors: Sequence[Error]) -> Attention:
    """Asks the candidate of a run for its maps of some errors.

    `candidate.explain(study)` gives `findings`, a mapping of finding -> values in [0, 1], shape (h, w), and
    may give `picture`, the file that they lie over; else that is the study's first frontal picture.

    The studies are taken from the run's cohort. A study that is not as it was, an explanation that
    fails or a finding without a map is no error here: the reason stands in `why`.

    Args:
        run: a finished run.
        candidate: the one that was judged; it explains in this process.
        errors: those wanted.

    Raises:
        CandidateError: see `check_explains`. HarnessError: the cohort cannot be opened any more.
    """
    check_explains(run, candidate)
    ledger = Ledger(run)
    rows = ledger.read("cases", ["study_id", "digest"]).to_pylist()
    digests = {row["study_id"]: row["digest"] for row in rows}
    found = Attention({}, {}, {})
    wanted: dict[str, list[Finding]] = {}
    for error in errors:
        wanted.setdefault(error.study_id, []).append(error.finding)
    cases = _cases(run, ledger, set(wanted))
    prepared = False
    for study, findings in wanted.items():
        keys = [(study, finding) for finding in findings]
        case = cases.get(study)
        if case is None or _digest(case) != digests[study]:
            found.why.update(dict.fromkeys(keys, "the study was changed since the run"))
            continue
        frontal = [image for image in case.study.images if image.view.frontal] or list(case.study.images)
        if not frontal:
            found.why.update(dict.fromkeys(keys, "the study has no picture"))
            continue
        if not prepared:
            candidate.prepare()
            prepared = True
        try:
            explanation = candidate.explain(case.study)  # type: ignore[attr-defined]
            explained = dict(explanation.findings)
        except Exception as error:  # a candidate may raise anything; the page is made all the same
            found.why.update(dict.fromkeys(keys, f"its explanation failed ({type(error).__name__})"))
            continue
        explains = getattr(explanation, "picture", frontal[0].path)
        if explains not in [image.path for image in case.study.images]:
            found.why.update(dict.fromkeys(keys, "it explains a picture that is not the study's"))
            continue
        for key in keys:
            if (usable := _usable(explained.get(key[1]))) is None:
                found.why[key] = "it gave no usable map of this finding"
            else:
                found.maps[key], found.pictures[key] = usable, explains
    return found


def _usable(given: Any) -> NDArray[np.float32] | None:
    if given is None:
        return None
    try:
        values = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError):
        return None
    if values.ndim != 2 or not values.size or not ((values >= 0) & (values <= 1)).all():
        return None
    return values


def _digest(case: Case) -> str:
    try:
        return case_digest(case)
    except OSError:
        return ""


def _cases(run: Path, ledger: Ledger, wanted: set[str]) -> dict[str, Case]:
    context = next((entry for entry in ledger.log.entries() if entry["event"] == "context"), {})
    locator = context.get("cohort", "")
    part = read_suite(run / "suite.yaml").cohort
    options = dict(part.options)
    if part.split is not None:
        options["split"] = part.split
    try:
        cohort: Cohort = open_cohort(locator, **options)
        return {study: cohort[index] for index, study in enumerate(cohort.study_ids()) if study in wanted}
    except HarnessError as error:
        raise HarnessError(
            f"attention overlays need the run's cohort, {locator or 'which its log does not name'}: {error}; "
            "give the command where that can be opened, or leave --candidate out"
        ) from None
