"""The phantom cohort: MIMIC-CXR's layout with the truth beside it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.cohorts.mimic_cxr import MimicCxrCohort, Views
from harness.digests import digest_file
from harness.errors import CohortError
from harness.report import CRITICAL, FINDINGS, Finding, Laterality, ReportedFinding, Severity, State
from harness.study import Case, Reference

_STATES = {1: State.POSITIVE, 0: State.NEGATIVE, -1: State.UNCERTAIN, None: State.NOT_MENTIONED}


class PhantomCohort(MimicCxrCohort):
    """A folder made by `harness phantom make`.

    Labels, severity, laterality and boxes come from the truth file, whose digest is checked; there
    is one slice more, `edge_case`.

    Args:
        root: the folder.
        split: train, validate or test; None for all.
        views: as for MIMIC-CXR.

    Raises:
        CohortError: as for MIMIC-CXR, or the truth file is missing or was changed.
    """

    name = "phantom"

    def __init__(self, root: Path, split: str | None = "test", views: Views = "frontal") -> None:
        super().__init__(root, split, views)
        self.labels_source = "phantom truth"
        self._truth = self._read_truth(root)
        missing = [study for study in self._studies.tolist() if study not in self._truth]
        if missing:
            raise CohortError(f"{root / 'truth.jsonl.gz'}: lacks {len(missing)} studies of the split")

    def __getitem__(self, index: int) -> Case:
        case = super().__getitem__(index)
        truth = self._truth[int(self._studies[index])]
        states = [_STATES[truth["states"][finding]] for finding in FINDINGS]
        reference = Reference(
            findings=case.reference.findings,
            impression=case.reference.impression,
            labels=np.array(states, dtype=np.int8),
            details=tuple(_detail(sign) for sign in truth["signs"]),
        )
        groups = {**case.groups, "edge_case": truth["edge_case"]}
        return Case(case.study, case.patient_id, reference, groups)

    def _read_truth(self, root: Path) -> dict[int, dict[str, Any]]:
        path = root / "truth.jsonl.gz"
        try:
            recipe = json.loads((root / "phantom.json").read_text())
            if digest_file(path) != recipe["truth_sha256"]:
                raise CohortError(f"{path}: was changed after it was made; make the cohort again")
            wanted = set(self._studies.tolist())
            truth = {}
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    record = json.loads(line)
                    if record["study_id"] in wanted:
                        del record["graph"]  # the largest part, and not used here
                        truth[record["study_id"]] = record
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise CohortError(
                f"{root}: not a whole phantom cohort ({error}); make it with: "
                f"harness phantom make --out {root}"
            ) from None
        return truth


def _detail(sign: dict[str, Any]) -> ReportedFinding:
    boxes = list(sign["boxes"].values())
    return ReportedFinding(
        finding=Finding(sign["finding"]),
        confidence=1.0 if sign["certainty"] == "clear" else 0.5,
        severity=Severity(sign["severity"]) if sign["severity"] else None,
        laterality=Laterality(sign["laterality"]) if sign["laterality"] else None,
        bounding_box=tuple(boxes[0]) if boxes else None,
        is_critical=sign["finding"] in CRITICAL,
    )
