"""The baseline: a classifier finds the labels, each label fills a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from harness.candidates.base import Candidate, phase
from harness.candidates.vit import VitClassifier
from harness.data_files import data_path
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError
from harness.report import CRITICAL, FINDINGS, Finding, Report, ReportedFinding
from harness.study import Study

SENTENCES: Final[Mapping[Finding, str]] = MappingProxyType(
    {
        Finding.ENLARGED_CARDIOMEDIASTINUM: "The mediastinum is widened.",
        Finding.CARDIOMEGALY: "The heart is enlarged.",
        Finding.LUNG_OPACITY: "There is a lung opacity.",
        Finding.LUNG_LESION: "There is a lung mass.",
        Finding.EDEMA: "There is pulmonary edema.",
        Finding.CONSOLIDATION: "There is consolidation.",
        Finding.PNEUMONIA: "There is pneumonia.",
        Finding.ATELECTASIS: "There is atelectasis.",
        Finding.PNEUMOTHORAX: "There is a pneumothorax.",
        Finding.PLEURAL_EFFUSION: "There is a pleural effusion.",
        Finding.PLEURAL_OTHER: "There is pleural thickening.",
        Finding.FRACTURE: "There is a rib fracture.",
        Finding.SUPPORT_DEVICES: "Support devices are in place.",
    }
)
ABSENT: Final[Mapping[Finding, str]] = MappingProxyType(
    {
        Finding.CARDIOMEGALY: "The heart size is normal.",
        Finding.CONSOLIDATION: "No focal consolidation.",
        Finding.PNEUMOTHORAX: "No pneumothorax.",
        Finding.PLEURAL_EFFUSION: "No pleural effusion.",
        Finding.FRACTURE: "No fracture.",
    }
)
NOTHING: Final = "No acute cardiopulmonary abnormality."


class Classifier(Protocol):
    """Anything that gives probabilities of findings for a picture."""

    thresholds: dict[Finding, float]

    def probabilities(self, picture: Path) -> dict[Finding, float]:
        """Finding -> probability in [0, 1]."""


def fill_template(found: Iterable[Finding]) -> tuple[str, str]:
    """The Findings section and the impression for the findings found."""
    present = set(found) - {Finding.NO_FINDING}
    stated = [SENTENCES[finding] for finding in FINDINGS if finding in present]
    denied = [sentence for finding, sentence in ABSENT.items() if finding not in present]
    ranked = sorted(present, key=lambda f: (f not in CRITICAL, FINDINGS.index(f)))
    told = [SENTENCES[f] for f in ranked if f is not Finding.SUPPORT_DEVICES]
    return " ".join([*stated, *denied]), " ".join(told) or NOTHING


def template_baseline(image_path: Path, labels: Iterable[Finding], classifier: Classifier) -> str:
    """The baseline's text for one picture: of `labels`, those the classifier finds fill sentences.

    Raises:
        harness.errors.CohortError: the picture cannot be read.
    """
    scores = classifier.probabilities(image_path)
    found = [
        finding
        for finding in labels
        if finding in scores and scores[finding] >= classifier.thresholds[finding]
    ]
    return "\n".join(fill_template(found))


class TemplateCandidate(Candidate):
    """Template reports from a ViT's findings on the first frontal picture.

    Args:
        path: a ViT directory in Hugging Face's layout (see `VitClassifier`); the small one that
            was trained on phantoms, and that comes with the package, where it is left out.
    """

    name = "template"

    def __init__(self, path: Path | None = None) -> None:
        self.classifier = VitClassifier(path or data_path("checkpoints") / "phantom-vit")

    def digest(self) -> str:
        """Over the weights and this file's sentences."""
        return digest_value(["template", self.classifier.digest(), digest_file(Path(__file__))])

    def prepare(self) -> None:
        """Loads the classifier."""
        self.classifier.load()

    def report(self, study: Study) -> Report:
        """One report.

        Raises:
            CandidateError: the study has no picture.
        """
        frontal = [image for image in study.images if image.view.frontal] or list(study.images)
        if not frontal:
            raise CandidateError("the template baseline needs a picture; this study has none")
        scores = self.classifier.probabilities(frontal[0].path)
        thresholds = self.classifier.thresholds
        found = [finding for finding, score in scores.items() if score >= thresholds[finding]]
        with phase("formatting"):
            text, impression = fill_template(found)
            return Report(
                report_id=f"template-{study.study_id}",
                findings=tuple(
                    ReportedFinding(
                        finding=finding,
                        confidence=round(scores[finding], 4),
                        is_critical=finding in CRITICAL,
                    )
                    for finding in FINDINGS
                    if finding in found and finding is not Finding.NO_FINDING
                ),
                findings_text=text,
                impression=impression,
                model_version=f"template-{self.classifier.directory.name}",
                requires_radiologist_review=any(finding in CRITICAL for finding in found),
            )
