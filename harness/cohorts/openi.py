"""The Open-i chest X-ray collection of Indiana University, as the NLM ships it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from harness.cohorts.base import Cohort, Exclusion
from harness.errors import CohortError
from harness.report import FINDINGS, INDEX, Finding, State
from harness.study import UNKNOWN_GROUP, Case, Context, Image, Reference, Study, View

REPORTS, PICTURES = "ecgen-radiology", "NLMCXR_png"

NOT_INDEXED: Final = "No Indexing"

HEADINGS: Final = MappingProxyType(
    {
        "normal": (Finding.NO_FINDING,),
        "Cardiomegaly": (Finding.CARDIOMEGALY,),
        "Cardiac Shadow/enlarged": (Finding.CARDIOMEGALY,),
        "Opacity/lung": (Finding.LUNG_OPACITY,),
        "Density/lung": (Finding.LUNG_OPACITY,),
        "Airspace Disease": (Finding.LUNG_OPACITY,),
        "Infiltrate": (Finding.LUNG_OPACITY,),
        "Nodule": (Finding.LUNG_LESION,),
        "Mass": (Finding.LUNG_LESION,),
        "Pulmonary Edema": (Finding.EDEMA,),
        "Consolidation": (Finding.CONSOLIDATION,),
        "Pneumonia": (Finding.PNEUMONIA,),
        "Pulmonary Atelectasis": (Finding.ATELECTASIS,),
        "Pneumothorax": (Finding.PNEUMOTHORAX,),
        "Hydropneumothorax": (Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION),
        "Pleural Effusion": (Finding.PLEURAL_EFFUSION,),
        "Hemothorax": (Finding.PLEURAL_EFFUSION,),
        "Thickening/pleura": (Finding.PLEURAL_OTHER,),
        "Cicatrix/pleura": (Finding.PLEURAL_OTHER,),
        "Fractures, Bone": (Finding.FRACTURE,),
        "Catheters, Indwelling": (Finding.SUPPORT_DEVICES,),
        "Implanted Medical Device": (Finding.SUPPORT_DEVICES,),
        "Medical Device": (Finding.SUPPORT_DEVICES,),
        "Tube, Inserted": (Finding.SUPPORT_DEVICES,),
    }
)
"""The indexers' heading, with the qualifier it must carry after a slash -> CheXpert's findings.

CheXpert's Enlarged Cardiomediastinum has no counterpart: it is not covered."""

_COVERED: Final = frozenset(finding for found in HEADINGS.values() for finding in found)
_PROJECTIONS: Final = (
    (View.PA, re.compile(r"\bPA\b", re.IGNORECASE)),
    (View.AP, re.compile(r"\bAP\b|\bportable\b", re.IGNORECASE)),
    (View.LATERAL, re.compile(r"\blat(?:eral)?s?\b", re.IGNORECASE)),
)
_FRONTAL_UNNAMED: Final = re.compile(r"\bfrontal\b|\b(?:2|two)\b", re.IGNORECASE)


class OpeniCohort(Cohort):
    """Reports `ecgen-radiology/*.xml` with their pictures `NLMCXR_png/*.png`, sorted by id.

    Demner-Fushman et al., JAMIA 23(2):304-310, 2016. One report a patient: the collection gives no
    patient ids, so a report's id stands for its patient.

    Labels come from the MeSH headings that two people gave each report. A heading says that a
    finding is there; without it the finding counts as not mentioned. A report marked "No Indexing"
    covers nothing. See `HEADINGS`.

    The files do not say which picture is the frontal one, and their numbers follow no rule. Where
    the caption names one projection, all pictures have it; else each is OTHER, and the slice `view`
    holds what the caption names.

    Left out, each with its reason: reports without findings and impression, without a picture.

    Args:
        root: the folder that holds both.

    Raises:
        CohortError: a folder is missing, a file is not what the NLM ships, or no report is left.
    """

    name = "openi"
    covered = tuple(finding for finding in FINDINGS if finding in _COVERED)

    def __init__(self, root: Path) -> None:
        self.labels_source = "MeSH headings of Open-i"
        for folder, archive in ((REPORTS, "NLMCXR_reports.tgz"), (PICTURES, "NLMCXR_png.tgz")):
            if not (root / folder).is_dir():
                raise CohortError(
                    f"{root}: no folder {folder}; unpack {archive} of "
                    "https://openi.nlm.nih.gov/faq#collection into it"
                )
        paths = sorted((root / REPORTS).glob("*.xml"))
        reports: dict[str, tuple[Path, _Report]] = {}
        for path in paths:
            report = _read(path)
            if report.id in reports:
                raise CohortError(f"{path}: has the id of {reports[report.id][0].name}; keep one")
            reports[report.id] = (path, report)
        self.eligible = len(reports)
        reasons: Counter[str] = Counter()
        self._cases: list[Case] = []
        for name in sorted(reports):
            _, report = reports[name]
            pictures = [root / PICTURES / f"{image}.png" for image in report.images]
            pictures = [picture for picture in pictures if picture.is_file()]
            if not report.sections["findings"] and not report.sections["impression"]:
                reasons["no findings or impression section"] += 1
            elif not pictures:
                reasons["no picture file"] += 1
            else:
                self._cases.append(_case(report, pictures))
        self.exclusions = tuple(Exclusion(reason, count) for reason, count in sorted(reasons.items()))
        if not self._cases:
            raise CohortError(f"{root}: no report with text and picture among {len(paths)} files")

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> Case:
        return self._cases[index]

    def study_ids(self) -> list[str]:
        """The reports' ids, such as CXR1, sorted as text."""
        return [case.study.study_id for case in self._cases]

    def patient_ids(self) -> list[str]:
        """The same: one report a patient."""
        return self.study_ids()


@dataclass(frozen=True, slots=True)
class _Report:
    id: str
    sections: dict[str, str]
    headings: tuple[str, ...]
    images: tuple[str, ...]
    caption: str


def labels_of(headings: Iterable[str]) -> NDArray[np.int8]:
    """`State` codes of MeSH headings with their qualifiers, such as "Opacity/lung/base/left"."""
    labels = np.full(len(FINDINGS), State.NOT_COVERED, dtype=np.int8)
    known = [heading.strip() for heading in headings if heading.strip()]
    if not known or NOT_INDEXED in known:
        return labels
    labels[[INDEX[finding] for finding in _COVERED]] = State.NOT_MENTIONED
    for heading in known:
        main, *qualifiers = (part.strip() for part in heading.split("/"))
        for key in (main, *(f"{main}/{qualifier}" for qualifier in qualifiers)):
            labels[[INDEX[finding] for finding in HEADINGS.get(key, ())]] = State.POSITIVE
    return labels


def views_of(caption: str) -> tuple[View, str]:
    """The view of each picture, and the group of the slice `view`, from an examination's caption."""
    named = [view for view, pattern in _PROJECTIONS if pattern.search(caption)]
    if len(named) == 1 and not _FRONTAL_UNNAMED.search(caption):
        return named[0], named[0].value
    return View.OTHER, "+".join(view.value for view in named) or UNKNOWN_GROUP


def _case(report: _Report, pictures: Iterable[Path]) -> Case:
    view, group = views_of(report.caption)
    images = tuple(Image(picture, view) for picture in pictures)
    reference = Reference(
        findings=report.sections["findings"],
        impression=report.sections["impression"],
        labels=labels_of(report.headings),
    )
    context = Context(indication=report.sections["indication"])
    return Case(Study(report.id, images, context), report.id, reference, {"view": group})


def _read(path: Path) -> _Report:
    root = _parse(path)
    name = root.find("uId")
    identity = "" if name is None else (name.get("id") or "").strip()
    if root.tag != "eCitation" or not identity:
        raise CohortError(f"{path}: not a report of the collection: needs eCitation with uId")
    sections = dict.fromkeys(("findings", "impression", "indication"), "")
    for part in root.iter("AbstractText"):
        label = (part.get("Label") or "").strip().lower()
        if label in sections and not sections[label]:
            sections[label] = " ".join("".join(part.itertext()).split())
    images = [image.get("id") or "" for image in root.iter("parentImage")]
    if any(not re.fullmatch(r"[\w-]+", image) for image in images):
        raise CohortError(f"{path}: a parentImage has no proper id; fetch the reports anew")
    captions = (image.findtext("caption") or "" for image in root.iter("parentImage"))
    return _Report(
        id=identity,
        sections=sections,
        headings=tuple(heading.text or "" for heading in root.findall("MeSH/major")),
        images=tuple(dict.fromkeys(images)),
        caption=" ".join(next(captions, "").split()),
    )


def _parse(path: Path) -> Element:
    """An XML file's root; a document type, where entities are made, is refused."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*declaration: object) -> None:
        raise CohortError(f"{path}: declares a document type, which no report of the collection does")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise CohortError(
            f"{path}:{error.lineno}:{error.offset + 1}: not valid XML: {expat.ErrorString(error.code)}; "
            "fetch the reports anew"
        ) from None
    except OSError as error:
        raise CohortError(f"{path}: cannot be read: {error.strerror}") from None
    return builder.close()
