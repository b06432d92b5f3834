"""Who gets which model: a salted hash of the patient, the same today and tomorrow."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from harness.ab.design import Design
from harness.ab.export import read_export
from harness.comparison.arms import arm_of
from harness.errors import CohortError, SuiteError


def arm_name(patient: str, design: Design) -> str:
    """What the design calls the arm of a patient; a function of salt, share and patient alone.

    Raises:
        SuiteError: the design is paired: every study is drafted by both models.
    """
    if design.assignment is None:
        problem = f"design {design.name} is paired: both models draft every study, and nobody is assigned; "
        raise SuiteError([problem + "for a randomised one begin from suites/clinical/randomised.yaml"])
    return getattr(design.arms, arm_of(patient, design.assignment))  # type: ignore[no-any-return]  # a name


def assign(path: Path, design: Design) -> str:
    """A list of patients with a column of arms added, as CSV.

    Args:
        path: CSV or Parquet with the design's column of patients.
        design: a randomised one.

    Raises:
        SuiteError: the design is paired.
        CohortError: the list cannot be read, names no patients or has arms already.
    """
    export, columns = read_export(path), design.columns
    if columns.patient not in export.header:
        raise CohortError(
            f"{path}:1: no column {columns.patient} (there: {', '.join(export.header[:16])}); map it in the "
            "design: columns.patient"
        )
    if columns.arm in export.header:
        raise CohortError(f"{path}:1: there is a column {columns.arm} already; take it out to assign anew")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*export.header, columns.arm])
    for place, row in enumerate(export.rows):
        patient = row[columns.patient]
        if not patient:
            raise CohortError(f"{export.place(place)}: {columns.patient} is blank; every row needs one")
        writer.writerow([*row.values(), arm_name(patient, design)])
    return out.getvalue()
