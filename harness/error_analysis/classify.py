"""Every error of a run in exactly one class, with the words that prove it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.error_analysis.material import COLUMNS, Material
from harness.error_analysis.model import AttributeCounts, Error, ErrorClass
from harness.error_analysis.required import required
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL, Finding, Laterality, Severity, State

ORDER: Final = tuple(ErrorClass)
Stated = tuple[Laterality | None, Severity | None]
_NOTHING: Final[Stated] = (None, None)
FINDINGS_FIRST: Final = (*CRITICAL, *(finding for finding in CLAIMS if finding not in CRITICAL))
"""The 13 findings, the critical ones first."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One finding that both texts of a study assert: what each states of it."""

    row: int
    finding: Finding
    reference: Stated
    candidate: Stated

    @property
    def both_state(self) -> tuple[bool, bool]:
        """Whether both state a side, and a severity."""
        side, severity = (None not in pair for pair in zip(self.reference, self.candidate, strict=True))
        return side, severity

    @property
    def wrong(self) -> tuple[bool, bool]:
        """Whether both state a side, or severity, and not the same."""
        side, severity = (
            both and true != said
            for both, true, said in zip(self.both_state, self.reference, self.candidate, strict=True)
        )
        return side, severity

    @property
    def left_out(self) -> tuple[bool, bool]:
        """Whether the reference alone states a side, or severity."""
        side, severity = (
            true is not None and said is None
            for true, said in zip(self.reference, self.candidate, strict=True)
        )
        return side, severity

    @property
    def missing(self) -> tuple[str, ...]:
        """Of what is left out, what the finding needs."""
        need = required(self.finding)
        side, severity = self.left_out
        return (("laterality",) if side and need.laterality else ()) + (
            ("severity",) if severity and need.severity else ()
        )

    @property
    def asked(self) -> bool:
        """Whether the reference states an attribute that the finding needs."""
        need = required(self.finding)
        side, severity = self.reference
        return (need.laterality and side is not None) or (need.severity and severity is not None)

    def faults(self) -> tuple[ErrorClass, ...]:
        """The classes that apply, in their order."""
        side, severity = self.wrong
        return (
            ((ErrorClass.WRONG_LATERALITY,) if side else ())
            + ((ErrorClass.WRONG_SEVERITY,) if severity else ())
            + ((ErrorClass.INCOMPLETE,) if self.missing else ())
        )


def compare_attributes(material: Material) -> list[Compared]:
    """Every finding that both texts of a study assert, as the measure `attributes` compares them."""
    found = []
    texts = zip(material.reference_section, material.candidate_section, strict=True)
    for row, (reference, candidate) in enumerate(texts):
        if not (reference.strip() and candidate.strip()):
            continue
        true, said = material.reader.read(reference).stated, material.reader.read(candidate).stated
        found += [
            Compared(row, finding, true[finding], said[finding])
            for finding in CLAIMS
            if finding in true and finding in said
        ]
    return found


def attribute_counts(compared: list[Compared]) -> tuple[AttributeCounts, ...]:
    """What became of each side and severity that the reference states."""
    counts = []
    for place, attribute in enumerate(("laterality", "severity")):
        stated = [item for item in compared if item.reference[place] is not None]
        wrong = sum(item.wrong[place] for item in stated)
        left_out = sum(item.left_out[place] for item in stated)
        needed = sum(attribute in item.missing for item in stated)
        counts.append(
            AttributeCounts(
                attribute="laterality" if attribute == "laterality" else "severity",
                stated=len(stated),
                agree=len(stated) - wrong - left_out,
                wrong=wrong,
                left_out_required=needed,
                left_out_optional=left_out - needed,
            )
        )
    return tuple(counts)


def classify(material: Material, compared: list[Compared]) -> tuple[Error, ...]:
    """Every error, critical findings first, then by class, finding and study."""
    attributes = {(item.row, item.finding): item for item in compared}
    errors = [_error(material, *place, attributes.get(place[:2])) for place in _places(material, compared)]
    errors.sort(
        key=lambda e: (
            not e.critical,
            ORDER.index(e.error_class),
            FINDINGS_FIRST.index(e.finding),
            e.study_id,
        )
    )
    return tuple(errors)


def _places(
    material: Material, compared: list[Compared]
) -> Iterator[tuple[int, Finding, tuple[ErrorClass, ...]]]:
    """Row and finding of each error with all its classes, in their order."""
    faults: dict[tuple[int, Finding], tuple[ErrorClass, ...]] = {}
    for flags, kind in (
        (material.missed, ErrorClass.MISSED),
        (material.unsupported, ErrorClass.HALLUCINATED),
    ):
        for row, column in np.argwhere(flags).tolist():
            faults[row, CLAIMS[column]] = (kind,)
    for item in compared:
        if own := item.faults():
            key = (item.row, item.finding)
            faults[key] = faults.get(key, ()) + own
    for (row, finding), classes in faults.items():
        yield row, finding, classes


def _error(
    material: Material,
    row: int,
    finding: Finding,
    classes: tuple[ErrorClass, ...],
    compared: Compared | None,
) -> Error:
    column = CLAIMS.index(finding)
    label = COLUMNS[column]
    true, said = (compared.reference, compared.candidate) if compared else (_NOTHING, _NOTHING)
    read = material.reader.read
    instead: tuple[Finding, ...] = ()
    if classes[0] is ErrorClass.MISSED:
        instead = said_instead(material.unsupported[row])
    return Error(
        study_id=material.study_ids[row],
        patient_id=material.patients[row],
        finding=finding,
        error_class=classes[0],
        critical=finding in CRITICAL,
        status=material.statuses[row],
        reference_state=State(material.reference_labels[row, label]).name.lower(),
        candidate_state=State(material.candidate_labels[row, label]).name.lower(),
        reference_spans=read(material.reference[row]).spans.get(finding, ()),
        candidate_spans=read(material.candidate[row]).spans.get(finding, ()),
        reference_laterality=true[0],
        candidate_laterality=said[0],
        reference_severity=true[1],
        candidate_severity=said[1],
        missing=compared.missing if compared else (),
        also=classes[1:],
        said_instead=instead,
    )


def said_instead(unsupported: NDArray[np.bool_]) -> tuple[Finding, ...]:
    """The unsupported claims of one study, shape (13,), critical findings first."""
    return tuple(finding for finding in FINDINGS_FIRST if unsupported[CLAIMS.index(finding)])
