from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from error_runs import text_run, write_suite
from harness.error_analysis import ErrorClass, analyse
from harness.error_analysis.classify import FINDINGS_FIRST, Compared
from harness.error_analysis.required import REQUIRED, required
from harness.ledger import Ledger, matrix
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL, Finding, Laterality, Severity
from harness.suite import read_suite

SENTENCES = (
    "There is a small left pneumothorax.",
    "There is a large right pneumothorax.",
    "There is a pneumothorax.",
    "Possible left pneumothorax.",
    "No pneumothorax.",
    "Moderate right pleural effusion.",
    "Small bilateral pleural effusions.",
    "A pleural effusion cannot be excluded.",
    "No pleural effusion.",
    "Displaced left rib fracture.",
    "There is a rib fracture.",
    "Right upper lobe mass.",
    "There is a lung mass.",
    "The heart is enlarged.",
    "Severe pulmonary edema.",
    "Mild pulmonary edema.",
    "Left lower lobe consolidation.",
    "Patchy opacity in the left lung.",
    "The lungs are clear.",
)
STATES = ("", "1", "0", "-1")


def _rows(count):
    """Texts and labels that follow no rule, the same ones every time."""
    import random

    draw = random.Random(5)
    for number in range(count):
        yield {
            "patient": f"p{number // 2}",
            "findings": " ".join(draw.sample(SENTENCES, draw.randint(1, 6))),
            "report": None if number % 17 == 3 else " ".join(draw.sample(SENTENCES, draw.randint(1, 6))),
            "labels": {
                str(finding): draw.choice(STATES)
                for finding in (*CRITICAL, Finding.EDEMA, Finding.CONSOLIDATION, Finding.LUNG_OPACITY)
            },
        }


@pytest.fixture(scope="module", params=["positive", "negative", "ignore"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    other = {"positive": "negative", "negative": "ignore", "ignore": "positive"}[request.param]
    return text_run(folder, list(_rows(120)), write_suite(folder, missed=request.param, hallucinated=other))


def test_the_counts_are_those_of_the_measures_study_by_study(folder):
    """Missed, hallucinated, and wrong or left-out attributes are the columns of the run's own measures."""
    analysis = analyse(folder)
    rows = Ledger(folder).read("rows")
    measures = read_suite(folder / "suite.yaml").build_measures()
    table = {
        (key, column): dict(
            zip(rows.column("study_id").to_pylist(), matrix(rows, key)[:, place], strict=True)
        )
        for key, measure in measures.items()
        for place, column in enumerate(measure.columns)
    }
    counted = Counter(
        (error.study_id, error.finding, kind) for error in analysis.errors for kind in error.faults()
    )
    assert len(counted) == sum(counted.values()), "no fault twice"
    total = Counter()
    for study in rows.column("study_id").to_pylist():
        for finding in CRITICAL:
            missed = (
                table["critical_sensitivity", f"{finding}:pos"][study]
                - table["critical_sensitivity", f"{finding}:tp"][study]
            )
            assert counted[study, finding, ErrorClass.MISSED] == missed
        for finding in CLAIMS:
            detection = [table["findings_detection", f"{finding}:{cell}"][study] for cell in ("tp", "pos")]
            assert counted[study, finding, ErrorClass.MISSED] == detection[1] - detection[0]
        invented = sum(counted[study, finding, ErrorClass.HALLUCINATED] for finding in CLAIMS)
        assert invented == table["hallucination_rate", "unsupported"][study]
        total["unverifiable"] += table["hallucination_rate", "unverifiable"][study]
        total["claims"] += table["hallucination_rate", "claims"][study]
    assert analysis.unverifiable == total["unverifiable"]
    hallucinated = next(item for item in analysis.overall if item.error_class is ErrorClass.HALLUCINATED)
    assert hallucinated.rate.denominator == total["claims"]
    for item in analysis.attributes:
        stated, agree = (
            sum(table["attributes", f"{item.attribute}:{cell}"].values()) for cell in ("stated", "agree")
        )
        assert (item.stated, item.agree) == (stated, agree)
        assert item.stated == item.agree + item.wrong + item.left_out_required + item.left_out_optional
        kind = ErrorClass.WRONG_LATERALITY if item.attribute == "laterality" else ErrorClass.WRONG_SEVERITY
        assert item.wrong == sum(kind in error.faults() for error in analysis.errors)
        assert item.left_out_required == sum(item.attribute in error.missing for error in analysis.errors)


def test_every_error_has_one_class_and_every_class_occurs(folder):
    analysis = analyse(folder)
    assert len({(error.study_id, error.finding) for error in analysis.errors}) == len(analysis.errors)
    assert {error.error_class for error in analysis.errors} == set(ErrorClass)
    assert sum(item.errors for item in analysis.overall) == len(analysis.errors)
    assert sum(item.errors for item in analysis.critical) == sum(error.critical for error in analysis.errors)
    order = list(ErrorClass)
    for error in analysis.errors:
        places = [order.index(kind) for kind in error.faults()]
        assert places == sorted(set(places)), "the class is the first that applies"
        assert error.critical == (error.finding in CRITICAL)
    flags = [error.critical for error in analysis.errors]
    assert flags == sorted(flags, reverse=True), "critical findings first"


def test_a_failed_study_missed_everything_and_claimed_nothing(folder):
    analysis = analyse(folder)
    failed = [error for error in analysis.errors if error.status != "ok"]
    assert analysis.failed == 7
    assert failed
    assert {error.error_class for error in failed} == {ErrorClass.MISSED}


def test_confusion_rows_add_up(folder):
    analysis = analyse(folder)
    for row in analysis.confusion:
        parts = (row.detected, row.said_instead, row.called_normal, row.nothing_instead, row.no_report)
        assert row.positives == sum(parts)
        missed = [
            e for e in analysis.errors if e.finding == row.finding and e.error_class is ErrorClass.MISSED
        ]
        assert row.positives - row.detected == len(missed)
        for other in CLAIMS:
            if other != row.finding:
                assert row.reported[other] == sum(other in error.said_instead for error in missed)
        assert row.said_instead == sum(bool(error.said_instead) for error in missed)


# Single errors


def classes(tmp_path, findings, report, **labels):
    labels = {str(Finding[name]): value for name, value in labels.items()}
    run = text_run(tmp_path / "one", [{"findings": findings, "report": report, "labels": labels}])
    return {error.finding: error for error in analyse(run).errors}


def test_side_before_severity_before_what_is_left_out(tmp_path):
    found = classes(
        tmp_path,
        "Small left pneumothorax. Moderate right pleural effusion. Left rib fracture. Right upper lobe mass.",
        "Large right pneumothorax. Pleural effusion. Left rib fracture. Left upper lobe mass.",
        PNEUMOTHORAX="1", PLEURAL_EFFUSION="1", FRACTURE="1", LUNG_LESION="1",
    )  # fmt: skip
    both = found[Finding.PNEUMOTHORAX]
    assert both.faults() == (ErrorClass.WRONG_LATERALITY, ErrorClass.WRONG_SEVERITY)
    assert (both.reference_laterality, both.candidate_laterality) == (Laterality.LEFT, Laterality.RIGHT)
    assert (both.reference_severity, both.candidate_severity) == (Severity.MILD, Severity.SEVERE)
    assert found[Finding.PLEURAL_EFFUSION].error_class is ErrorClass.INCOMPLETE
    assert found[Finding.PLEURAL_EFFUSION].missing == ("laterality", "severity")
    assert found[Finding.LUNG_LESION].faults() == (ErrorClass.WRONG_LATERALITY,)
    assert Finding.FRACTURE not in found


def test_missed_says_what_was_said_instead_and_where_the_texts_speak(tmp_path):
    reference = "Small left pneumothorax is seen."
    report = "The heart is normal. There is no pneumothorax. Right rib fracture."
    error = classes(tmp_path, reference, report, PNEUMOTHORAX="1", FRACTURE="0")[Finding.PNEUMOTHORAX]
    assert error.error_class is ErrorClass.MISSED
    assert (error.reference_state, error.candidate_state) == ("positive", "negative")
    assert error.said_instead == (Finding.FRACTURE,)
    spoken = {span.kind: reference[span.start : span.end] for span in error.reference_spans}
    assert spoken["mention"] == "pneumothorax"
    assert (spoken["severity"], spoken["laterality"]) == ("Small", "left")
    denied = {span.kind: report[span.start : span.end] for span in error.candidate_spans}
    assert denied["cue"] == "no"
    assert denied["sentence"] == "There is no pneumothorax"


def test_a_wider_claim_of_a_narrower_truth_is_no_hallucination(tmp_path):
    found = classes(tmp_path, "Left mass.", "Opacity in the left lung.", LUNG_LESION="1", LUNG_OPACITY="0")
    assert found[Finding.LUNG_LESION].error_class is ErrorClass.MISSED
    assert Finding.LUNG_OPACITY not in found


# The laws of a comparison

sides = st.sampled_from([None, *Laterality])
grades = st.sampled_from([None, *Severity])


@given(st.sampled_from(CLAIMS), st.tuples(sides, grades), st.tuples(sides, grades))
def test_an_attribute_agrees_is_wrong_or_left_out(finding, reference, candidate):
    item = Compared(0, finding, reference, candidate)
    for place in range(2):
        agrees = reference[place] is not None and reference[place] == candidate[place]
        assert [agrees, item.wrong[place], item.left_out[place], reference[place] is None].count(True) == 1
    if reference == candidate:
        assert item.faults() == ()
    if item.missing:
        assert item.asked
        assert finding in REQUIRED


def test_the_table_of_required_attributes_has_reasons_and_asks_nothing_of_the_rest():
    assert set(REQUIRED) <= set(CLAIMS)
    assert set(CRITICAL) <= set(REQUIRED)
    assert all(item.reason and (item.laterality or item.severity) for item in REQUIRED.values())
    assert required(Finding.SUPPORT_DEVICES)[:2] == (False, False)
    assert FINDINGS_FIRST[: len(CRITICAL)] == CRITICAL
    assert set(FINDINGS_FIRST) == set(CLAIMS)
