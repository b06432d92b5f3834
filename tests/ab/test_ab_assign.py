import csv
import io

import pytest
from trials import PAIRED, RANDOMISED

from harness.ab.assign import arm_name, assign
from harness.errors import CohortError, SuiteError


def listed(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    return tmp_path / "list.csv"


def test_a_tenth_of_patients_gets_the_challenger():
    arms = [arm_name(f"P{number}", RANDOMISED) for number in range(20_000)]
    assert arms.count("candidate") / len(arms) == pytest.approx(0.1, abs=0.007)


def test_an_arm_is_a_function_of_patient_and_salt_alone():
    known = {
        "P1": "production",
        "P2": "production",
        "P10": "production",
        "P7": "candidate",
        "P24": "candidate",
    }
    assert {patient: arm_name(patient, RANDOMISED) for patient in known} == known
    assert RANDOMISED.assignment is not None
    other = RANDOMISED.model_copy(
        update={"assignment": RANDOMISED.assignment.model_copy(update={"salt": "b"})}
    )
    arms = [(arm_name(f"P{n}", RANDOMISED), arm_name(f"P{n}", other)) for n in range(2000)]
    both = sum(pair == ("candidate", "candidate") for pair in arms)
    assert 5 < both < 45  # a hundredth: unrelated


def test_a_list_keeps_its_rows_and_gains_a_column(tmp_path):
    text = 'study,patient,note\nS1,P1,"a, b"\nS2,P7,\nS3,P1,c\n'
    rows = list(csv.DictReader(io.StringIO(assign(listed(tmp_path, text), RANDOMISED))))
    assert [row["arm"] for row in rows] == ["production", "candidate", "production"]
    assert rows[0]["note"] == "a, b"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("study\nS1\n", "no column patient"),
        ("patient,arm\nP1,candidate\n", "there is a column arm already"),
        ("study,patient\nS1,P1\nS2,\n", r"list.csv:3: patient is blank"),
        ("", "empty file"),
    ],
)
def test_bad_lists_are_refused(tmp_path, text, told):
    with pytest.raises(CohortError, match=told):
        assign(listed(tmp_path, text), RANDOMISED)


def test_nobody_is_assigned_in_a_paired_design(tmp_path):
    with pytest.raises(SuiteError, match="is paired"):
        assign(listed(tmp_path, "patient\nP1\n"), PAIRED)
