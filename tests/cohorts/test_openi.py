from __future__ import annotations

import csv
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image as Picture

from harness.candidates.predictions import PredictionsCandidate
from harness.cohorts import open_cohort
from harness.cohorts.openi import OpeniCohort, labels_of, views_of
from harness.errors import CohortError
from harness.report import FINDINGS, INDEX, Finding, State
from harness.run import Request, execute
from harness.study import View

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "openi_dev"


def report_xml(
    number: int,
    findings: str | None = "Heart size is normal.",
    impression: str | None = "Clear lungs.",
    major: tuple[str, ...] = ("normal",),
    images: tuple[str, ...] | None = None,
    caption: str = "PA and lateral chest",
) -> str:
    """A report in the collection's format, with example sentences."""
    if images is None:
        images = (f"CXR{number}_IM-{number:04}-1001", f"CXR{number}_IM-{number:04}-2001")
    sections = {"COMPARISON": "None.", "INDICATION": "Cough", "FINDINGS": findings, "IMPRESSION": impression}
    abstract = "".join(
        f'<AbstractText Label="{label}">{escape(text)}</AbstractText>'
        if text is not None
        else f'<AbstractText Label="{label}"/>'
        for label, text in sections.items()
    )
    headings = "".join(f"<major>{escape(term)}</major>" for term in major)
    pictures = "".join(
        f'<parentImage id="{image}"><figureId>F{place}</figureId><caption>{escape(caption)}</caption>'
        f'<panel type="single"><url>/extract/{image}.jpg</url></panel></parentImage>'
        for place, image in enumerate(images, 1)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<eCitation><meta type="rr"/><uId id="CXR{number}"/><pmcId id="{number}"/>'
        '<docSource>CXR</docSource><MedlineCitation Owner="Example" Status="supplied by publisher">'
        f'<Article PubModel="Electronic"><ArticleTitle>Example</ArticleTitle><Abstract>{abstract}</Abstract>'
        f"</Article></MedlineCitation><MeSH>{headings}<automatic>lung</automatic></MeSH>{pictures}</eCitation>"
    )


def write(root: Path, reports: dict[int, str], pictures: tuple[str, ...] | None = None) -> Path:
    (root / "ecgen-radiology").mkdir(parents=True)
    (root / "NLMCXR_png").mkdir()
    for number, text in reports.items():
        (root / "ecgen-radiology" / f"{number}.xml").write_text(text, encoding="utf-8")
        names = pictures
        if names is None:
            names = (f"CXR{number}_IM-{number:04}-1001", f"CXR{number}_IM-{number:04}-2001")
        for name in names:
            Picture.new("L", (8, 8), number).save(root / "NLMCXR_png" / f"{name}.png")
    return root


def test_a_report_as_it_is_shipped(tmp_path: Path) -> None:
    text = report_xml(
        12, findings="Heart is\n  large & round.", major=("Cardiomegaly/mild", "Opacity/lung/base")
    )
    cohort = OpeniCohort(write(tmp_path, {12: text}))
    (case,) = list(cohort)
    assert case.study.study_id == case.patient_id == "CXR12"
    assert case.reference.findings == "Heart is large & round."
    assert case.reference.impression == "Clear lungs."
    assert case.study.context.indication == "Cough"
    assert [image.path.name for image in case.study.images] == [
        "CXR12_IM-0012-1001.png",
        "CXR12_IM-0012-2001.png",
    ]
    assert {image.view for image in case.study.images} == {View.OTHER}
    assert case.groups == {"view": "PA+LATERAL"}
    assert case.study.images[0].pixels(8).shape == (8, 8)
    positive = {finding for finding in FINDINGS if case.reference.labels[INDEX[finding]] == State.POSITIVE}
    assert positive == {Finding.CARDIOMEGALY, Finding.LUNG_OPACITY}


def test_conforms_and_counts_what_is_left_out(tmp_path: Path) -> None:
    reports = {
        1: report_xml(1),
        2: report_xml(2, findings=None, impression=None),
        3: report_xml(3, findings=" \n ", impression=None),
        4: report_xml(4, images=("CXR4_IM-0004-9999",)),
        5: report_xml(5, images=()),
        6: report_xml(6, findings=None),
        10: report_xml(10, major=("No Indexing",)),
    }
    cohort = open_cohort(f"openi:{write(tmp_path, reports)}")
    assert cohort.study_ids() == cohort.patient_ids() == ["CXR1", "CXR10", "CXR6"]
    assert cohort.eligible == 7
    assert [(item.reason, item.studies) for item in cohort.exclusions] == [
        ("no findings or impression section", 2),
        ("no picture file", 2),
    ]
    assert (cohort[1].reference.labels == State.NOT_COVERED).all()
    assert cohort.eligible == len(cohort) + sum(item.studies for item in cohort.exclusions)
    assert Finding.ENLARGED_CARDIOMEDIASTINUM not in cohort.covered


@pytest.mark.parametrize(
    ("heading", "findings"),
    [
        ("normal", {Finding.NO_FINDING}),
        ("Cardiac Shadow/enlarged/mild", {Finding.CARDIOMEGALY}),
        ("Cardiac Shadow/irregular", set()),
        ("Opacity/lung/base/left", {Finding.LUNG_OPACITY}),
        ("Opacity/ribs/left", set()),
        ("Nodule/lung/upper lobe/right/small", {Finding.LUNG_LESION}),
        ("Calcified Granuloma/lung/upper lobe", set()),
        ("Hydropneumothorax/left", {Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION}),
        ("Thickening/pleura/apex", {Finding.PLEURAL_OTHER}),
        ("Thickening/bronchovascular", set()),
        ("Fractures, Bone/ribs/right", {Finding.FRACTURE}),
        ("Catheters, Indwelling/right", {Finding.SUPPORT_DEVICES}),
    ],
)
def test_headings(heading: str, findings: set[Finding]) -> None:
    labels = labels_of([heading])
    assert {finding for finding in FINDINGS if labels[INDEX[finding]] == State.POSITIVE} == findings
    assert labels[INDEX[Finding.ENLARGED_CARDIOMEDIASTINUM]] == State.NOT_COVERED
    assert (labels == State.NOT_COVERED).sum() == 1


@pytest.mark.parametrize("headings", [[], ["No Indexing"], ["No Indexing", "Mass/lung"], [" "]])
def test_without_headings_nothing_is_covered(headings: list[str]) -> None:
    assert (labels_of(headings) == State.NOT_COVERED).all()


@pytest.mark.parametrize(
    ("caption", "view", "group"),
    [
        ("Xray Chest PA and Lateral", View.OTHER, "PA+LATERAL"),
        ("PA and LAT view CHEST", View.OTHER, "PA+LATERAL"),
        ("Chest, 2 views, frontal and lateral", View.OTHER, "LATERAL"),
        ("Portable AP chest", View.AP, "AP"),
        ("PA chest", View.PA, "PA"),
        ("Lateral chest", View.LATERAL, "LATERAL"),
        ("", View.OTHER, "unknown"),
        ("Chest, happy", View.OTHER, "unknown"),
    ],
)
def test_views_are_only_what_the_caption_says(caption: str, view: View, group: str) -> None:
    assert views_of(caption) == (view, group)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<eCitation><uId id='CXR1'/>", r"1\.xml:1:28: not valid XML: no element found; fetch"),
        ("", r"1\.xml:1:1: not valid XML"),
        ("<other/>", "needs eCitation with uId"),
        ("<eCitation><uId id=' '/></eCitation>", "needs eCitation with uId"),
        (
            '<!DOCTYPE a [<!ENTITY x "y">]><eCitation><uId id="CXR1"/>&x;</eCitation>',
            "declares a document type",
        ),
        (
            "<!DOCTYPE eCitation SYSTEM 'file:///etc/passwd'><eCitation><uId id='CXR1'/></eCitation>",
            "declares a document type",
        ),
        ("<eCitation><uId id='CXR1'/>&external;</eCitation>", "undefined entity"),
        (
            "<eCitation><uId id='CXR1'/><parentImage id='../../secret'/></eCitation>",
            "a parentImage has no proper id",
        ),
    ],
)
def test_bad_files_are_named_with_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        OpeniCohort(write(tmp_path, {1: text}))


def test_a_billion_laughs_and_other_encodings_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path, {1: report_xml(1)})
    file = root / "ecgen-radiology" / "1.xml"
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    text = f'<!DOCTYPE z [<!ENTITY l0 "ha">{entities}]><eCitation><uId id="&l29;"/></eCitation>'
    for encoding in ("utf-8", "utf-16"):
        file.write_bytes(text.encode(encoding))
        with pytest.raises(CohortError, match="declares a document type"):
            OpeniCohort(root)


def test_missing_folders_duplicates_and_nothing_left(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no folder ecgen-radiology; unpack NLMCXR_reports\.tgz"):
        OpeniCohort(tmp_path)
    (tmp_path / "ecgen-radiology").mkdir()
    with pytest.raises(CohortError, match=r"no folder NLMCXR_png; unpack NLMCXR_png\.tgz"):
        OpeniCohort(tmp_path)
    (tmp_path / "NLMCXR_png").mkdir()
    with pytest.raises(CohortError, match="no report with text and picture among 0 files"):
        OpeniCohort(tmp_path)
    root = write(tmp_path / "twice", {1: report_xml(1), 2: report_xml(1)})
    with pytest.raises(CohortError, match=r"2\.xml: has the id of 1\.xml"):
        OpeniCohort(root)


def test_a_suite_runs_on_it(tmp_path: Path) -> None:
    reports = {
        1: report_xml(1, "No pneumothorax.", "Normal chest."),
        2: report_xml(2, "Small left effusion.", None, ("Pleural Effusion/left/small",)),
        3: report_xml(3, "Large right pneumothorax.", None, ("Pneumothorax/right/large",)),
    }
    cohort = OpeniCohort(write(tmp_path / "openi", reports))
    answers = tmp_path / "answers.csv"
    with answers.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["study_id", "findings"])
        writer.writerows([["CXR1", "No effusion."], ["CXR2", "Left effusion."], ["CXR3", "Clear lungs."]])
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: small\nversion: 1\ninference: {replicates: 200, seed: 1}\nmeasures: [critical_sensitivity]\n"
        "slices: [view]\ncriteria:\n  - {id: s, measure: critical_sensitivity, value: pooled, above: 0.5}\n"
    )
    out = tmp_path / "out"
    request = Request(suite, cohort, "openi:x", PredictionsCandidate(answers), "predictions:x", out)
    results = execute(request).results()
    (pooled,) = (item for item in results["estimates"] if item["value"] == "pooled" and item["slice"] is None)
    assert (pooled["numerator"], pooled["denominator"]) == (1, 2)
    assert results["labels"]["Enlarged Cardiomediastinum"]["not_covered"] == 3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development sample of Open-i is not here")
def test_headings_agree_with_human_labels() -> None:
    def read(name: str) -> list[dict[str, str]]:
        with (SHARED / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    human = {row["filename"].removeprefix("CXR"): row for row in read("human_labels.csv")}
    rows = [row for row in read("reports.csv") if row["uid"] in human]
    ours = np.array([labels_of(row["MeSH"].split(";")) for row in rows])
    names = {
        Finding.ATELECTASIS: ("Atelectasis",),
        Finding.CARDIOMEGALY: ("Cardiomegaly",),
        Finding.PNEUMONIA: ("Pneumonia",),
        Finding.PNEUMOTHORAX: ("Pneumothorax",),
        Finding.CONSOLIDATION: ("Consolidation",),
        Finding.EDEMA: ("Edema",),
        Finding.PLEURAL_EFFUSION: ("Effusion",),
        Finding.LUNG_LESION: ("Mass", "Nodule"),
        Finding.NO_FINDING: ("normal",),
    }
    for finding, columns in names.items():
        theirs = np.array([any(human[row["uid"]][name] == "1" for name in columns) for row in rows])
        found = ours[:, INDEX[finding]] == State.POSITIVE
        dice = 2 * (found & theirs).sum() / (found.sum() + theirs.sum())
        assert dice > 0.85, finding
