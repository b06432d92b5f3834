import pytest
from trials import PAIRED, RANDOMISED, ROOT

from harness.ab.design import read_design
from harness.errors import SuiteError

TEXT = (ROOT / "suites/clinical/paired.yaml").read_text()


def changed(tmp_path, old, new):
    assert old in TEXT
    path = tmp_path / "design.yaml"
    path.write_text(TEXT.replace(old, new))
    return path


def test_examples_declare_what_they_say():
    assert PAIRED.design == "paired"
    assert PAIRED.assignment is None
    assert RANDOMISED.assignment is not None
    assert RANDOMISED.assignment.share == 0.1
    assert PAIRED.alpha == RANDOMISED.alpha == 0.01
    assert PAIRED.margin("critical_sensitivity") == 0.05


def test_digest_follows_content_not_layout(tmp_path):
    same = read_design(changed(tmp_path, "version: 1", "version:    1  # the first"))
    assert same.digest() == PAIRED.digest()
    other = read_design(changed(tmp_path, "rating: {margin: 0.2", "rating: {margin: 0.3"))
    assert other.digest() != PAIRED.digest()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("blinded: true", "blindd: true", r"design.yaml:10:1: blindd: unknown key; did you mean blinded\?"),
        ("blinded: true", "", "blinded: missing; every design needs it"),
        (
            "margin: 0.03",
            "marginn: 0.03",
            "endpoints.edit_distance.marginn: unknown key; did you mean margin",
        ),
        ("margin: 0.05", "margin: 5", "critical_sensitivity.margin: input should be less than 1"),
        ("margin: 1.0", "margin: 0", "turnaround.margin: input should be greater than 0"),
        ("design: paired", "design: randomised", "a randomised design needs an assignment"),
        ("challenger: candidate", "challenger: production", "must have different names"),
        ("alpha: 0.01", "alpha: 0.5", "alpha: input should be less than or equal to 0.1"),
        (
            "  Pneumothorax:",
            "  Pneumothrax:",
            r"design.yaml:20:3: critical_findings.Pneumothrax: input should",
        ),
        ("  Fracture: {margin: 0.1, ", "  Fracture: {", "critical_findings.Fracture.margin: missing"),
        ("  Fracture: {margin", "  Fracture: {margni", "Fracture.margni: unknown key; did you mean margin"),
        ("  Fracture: {margin: 0.1, per_study: 0.075}", "", "no word of Fracture: give each a margin in"),
        ("arms:", "undecided: [Fracture]\narms:", "stands in critical_findings and undecided"),
        ("planned_studies: 2000", "planned_studies: .inf", "planned_studies: input should be"),
        ("  turnaround: {margin", "  turnaround_: {margin", "endpoints.turnaround: missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, old, new, told):
    with pytest.raises(SuiteError, match=told):
        read_design(changed(tmp_path, old, new))


def test_every_problem_is_told_at_once(tmp_path):
    path = tmp_path / "design.yaml"
    path.write_text("name: x\ndesign: paired\n")
    with pytest.raises(SuiteError) as caught:
        read_design(path)
    assert len(caught.value.problems) >= 5


@pytest.mark.parametrize("text", ["", "[]", "3", "a: ["])
def test_what_is_no_design_is_refused(tmp_path, text):
    path = tmp_path / "design.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=r"design\.yaml:1"):
        read_design(path)
