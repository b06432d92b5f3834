import json
import pickle

import pytest
from pydantic import ValidationError

from harness.candidates.predictions import PredictionsCandidate
from harness.errors import CandidateError
from harness.study import Study
from harness.testing import check_candidate


def write(path, content):
    rows = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(rows)
    return PredictionsCandidate(path)


def text_of(candidate, study):
    report = candidate.report(Study(study, ()))
    return report.findings_text, report.impression


def test_csv_of_texts_and_of_sections(tmp_path):
    whole = write(tmp_path / "a.csv", 'study_id,report\n2,"Clear lungs."\n1,"Effusion,\nsmall."\n')
    assert text_of(whole, "1") == ("Effusion,\nsmall.", "")
    parts = write(tmp_path / "b.csv", "study_id,findings,impression\n1,Clear lungs.,Normal.\n")
    assert text_of(parts, "1") == ("Clear lungs.", "Normal.")


def test_jsonl_of_structured_reports(tmp_path):
    report = {"findings": [{"finding": "Fracture", "confidence": 0.8}], "impression": "Rib fracture."}
    candidate = write(tmp_path / "a.jsonl", [{"study_id": "1", "report": report}])
    answer = candidate.report(Study("1", ()))
    assert answer.findings[0].confidence == 0.8
    assert answer.report_id == "1"


def test_the_order_of_rows_does_not_matter(tmp_path):
    rows = [{"study_id": str(n), "impression": f"Report {n}."} for n in range(20)]
    first, second = write(tmp_path / "a.jsonl", rows), write(tmp_path / "b.jsonl", rows[::-1])
    assert [text_of(first, str(n)) for n in range(20)] == [text_of(second, str(n)) for n in range(20)]


def test_what_is_no_report_fails_its_study(tmp_path):
    rows = [
        {"study_id": "nan", "report": {"findings": [{"finding": "Fracture", "confidence": float("nan")}]}},
        {"study_id": "number", "report": 7},
        {"study_id": "finding", "report": {"findings": [{"finding": "Hernia", "confidence": 0.5}]}},
        {"study_id": "null", "report": None},
        {"study_id": "NaN text", "report": float("nan")},
    ]
    candidate = write(tmp_path / "a.jsonl", rows)
    for study in ("nan", "number", "finding"):
        with pytest.raises(ValidationError):
            candidate.report(Study(study, ()))
    # Nothing written: an empty report, which the engine counts as a failed study.
    assert text_of(candidate, "null") == text_of(candidate, "NaN text") == ("", "")


def test_a_study_without_a_prediction_is_told(tmp_path):
    candidate = write(tmp_path / "a.csv", "study_id,report\n1,x\n")
    with pytest.raises(CandidateError, match="no prediction for this study"):
        candidate.report(Study("2", ()))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("study_id,report\n1,x\n1,y\n", r"a\.csv:3: study_id stands twice, first on line 2"),
        ("study_id,report\n,x\n", r"a\.csv:2: no study_id"),
        ("id,report\n1,x\n", r"a\.csv:2: no study_id"),
        ("study_id,text\n1,x\n", r"a\.csv:2: needs report, or findings and/or .* has study_id, text"),
        ("study_id,report\n", "holds no prediction"),
        ("", "holds no prediction"),
    ],
)
def test_bad_files_are_told(tmp_path, content, told):
    with pytest.raises(CandidateError, match=told):
        write(tmp_path / "a.csv", content).check(["1"])


def test_the_wrong_file_is_refused(tmp_path):
    candidate = write(tmp_path / "a.csv", "study_id,report\n1,x\n2,y\n")
    candidate.check(["1", "2", "3"])  # a missing one fails as a study, not as a file
    with pytest.raises(CandidateError, match="1 of its 2 predictions are for studies"):
        candidate.check(["1"])
    PredictionsCandidate(tmp_path / "a.csv", extra="allow").check(["1"])
    with pytest.raises(CandidateError, match="none of its 2 study ids is in the cohort"):
        PredictionsCandidate(tmp_path / "a.csv", extra="allow").check(["9"])


def test_the_digest_is_that_of_the_file(tmp_path):
    candidate = write(tmp_path / "a.csv", "study_id,report\n1,x\n")
    before = candidate.digest()
    write(tmp_path / "a.csv", "study_id,report\n1,y\n")
    assert candidate.digest() != before
    with pytest.raises(CandidateError, match="no such file"):
        PredictionsCandidate(tmp_path / "absent.csv").digest()


def test_it_conforms_and_travels_to_workers_without_its_rows(tmp_path):
    candidate = write(tmp_path / "a.csv", "study_id,report\n1,Clear lungs.\n")
    assert check_candidate(candidate, [Study("1", ())]) == []
    assert len(pickle.dumps(candidate)) < 1000
