"""Two runs side by side: of the same studies, or of two arms that patients were dealt out to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from harness.errors import LedgerError, NotEvaluable, SuiteError
from harness.ledger import Ledger, matrix
from harness.suite import Suite, read_suite
from harness.suite_comparison import Arms

MISMATCH: Final = 0.001
"""Below this p the numbers of patients do not fit the share that was to be dealt out."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run, as far as it is compared."""

    folder: Path
    identity: dict[str, Any]
    suite: Suite
    studies: list[str]
    patients: list[str]
    """The patient of each study."""
    rows: dict[str, NDArray[np.int64]]
    """Measure key -> rows, shape (studies, columns)."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether as many patients came to the challenger's arm as its share says."""

    current: int
    challenger: int
    """Patients in either arm."""
    share: float
    p_value: float
    """Two-sided, exact binomial."""


def read_run(folder: Path) -> Run:
    """A complete run whose rows are those that its log and its digest name.

    Raises:
        LedgerError: there is none, it is incomplete, or was changed.
    """
    ledger = Ledger(folder)
    if ledger.results()["ledger"] != ledger.digest():
        raise LedgerError(f"{folder}: the ledger digest does not follow from its parts")
    suite = read_suite(folder / "suite.yaml")
    if suite.digest() != ledger.identity["suite"]:
        raise LedgerError(f"{folder / 'suite.yaml'}: is not the suite that this run was asked")
    cases, rows = ledger.read("cases", ["study_id", "patient_id"]), ledger.read("rows")
    keys = [part.key for part in suite.measures]
    return Run(
        folder=folder,
        identity=ledger.identity,
        suite=suite,
        studies=cases.column("study_id").to_pylist(),
        patients=cases.column("patient_id").to_pylist(),
        rows={key: matrix(rows, key) for key in keys},
    )


def check_same_question(current: Run, challenger: Run) -> None:
    """Refuses runs whose numbers do not mean the same.

    Raises:
        SuiteError: suites differ, or the texts were labelled by different labelers.
    """
    if current.suite.digest() != challenger.suite.digest():
        raise SuiteError(
            [
                f"{challenger.folder}: asked suite {challenger.suite.name} (version "
                f"{challenger.suite.version}), but {current.folder} asked {current.suite.name} (version "
                f"{current.suite.version}), or the file was changed in between; run both with one suite: "
                f"harness run suites/ab.yaml --candidate ... --out ..."
            ]
        )
    if current.identity["labeler"] != challenger.identity["labeler"]:
        raise SuiteError(
            [f"{challenger.folder}: texts were labelled by another labeler; run both with one version"]
        )


def check_same_studies(current: Run, challenger: Run) -> None:
    """Refuses a paired comparison of different studies.

    Raises:
        SuiteError: studies, references or pictures differ.
    """
    if current.identity["cohort"] == challenger.identity["cohort"]:
        return
    common = len(set(current.studies) & set(challenger.studies))
    raise SuiteError(
        [
            f"{challenger.folder}: not the same studies as {current.folder} "
            f"({len(current.studies):,} and {len(challenger.studies):,}, {common:,} of them in both"
            f"{', with other content' if common == len(current.studies) else ''}); pairs need the same: "
            "run both candidates on one cohort, or declare comparison.randomised in the suite"
        ]
    )


def arm_of(patient_id: str, arms: Arms) -> str:
    """The arm that a patient is dealt to, "current" or "challenger": a function of salt and patient alone.

    All studies of a patient lie in one arm. Who routes studies to candidates uses this function.
    """
    key = hashlib.sha256(arms.salt.encode()).digest()
    drawn = hashlib.blake2b(patient_id.encode(), digest_size=8, key=key).digest()
    return "challenger" if int.from_bytes(drawn, "big") < arms.share * 2**64 else "current"


def check_arms(current: Run, challenger: Run, arms: Arms) -> SampleRatio:
    """Refuses two runs that are not the two arms of the experiment.

    Raises:
        SuiteError: patients are in both runs: paired data, never pooled with a randomised arm.
        NotEvaluable: patients are in an arm that they were not dealt to.
    """
    both = set(current.patients) & set(challenger.patients)
    if both:
        raise SuiteError(
            [
                f"{challenger.folder}: {len(both):,} patients are in both runs, but the suite declares "
                "comparison.randomised; compare pairs with a suite that does not (suites/ab.yaml)"
            ]
        )
    sizes = []
    for run, arm in ((current, "current"), (challenger, "challenger")):
        patients = set(run.patients)
        strayed = sum(arm_of(patient, arms) != arm for patient in patients)
        if strayed:
            raise NotEvaluable(
                f"{run.folder}: {strayed:,} of {len(patients):,} patients do not belong to the {arm} arm by "
                "the suite's share and salt; this is not the experiment that was declared"
            )
        sizes.append(len(patients))
    p = float(binomtest(sizes[1], sum(sizes), arms.share).pvalue)
    return SampleRatio(sizes[0], sizes[1], arms.share, p)
