import dataclasses
import typing

import numpy as np
import pytest

from harness.report import FINDINGS, Finding, State
from harness.study import AGE_GROUPS, UNKNOWN_GROUP, Case, Image, Study, View, age_group, case_record, states


def test_a_study_has_no_field_that_could_hold_a_reference():
    """The type makes it impossible to hand a candidate what it is judged by."""
    reached, todo = set(), [Study]
    while todo:
        cls = todo.pop()
        if not dataclasses.is_dataclass(cls) or cls in reached:
            continue
        reached.add(cls)
        for hint in typing.get_type_hints(cls).values():
            todo += [hint, *typing.get_args(hint)]
    names = {field.name for cls in reached for field in dataclasses.fields(cls)}
    assert names == {
        "study_id", "images", "context", "path", "view", "age", "sex", "indication", "prior_studies",
    }  # fmt: skip
    with pytest.raises(TypeError):
        Study("1", (), reference="There is a pneumothorax.")
    with pytest.raises(AttributeError):
        object.__setattr__(Study("1", ()), "reference", "There is a pneumothorax.")


def test_every_age_falls_in_exactly_one_group():
    names = [age_group(age) for age in range(131)]
    assert len(set(names)) == len(AGE_GROUPS)
    assert [age_group(age) for age in (0, 17, 18, 39, 40, 64, 65, 79, 80, 130)] == [
        "0-17", "0-17", "18-39", "18-39", "40-64", "40-64", "65-79", "65-79", "80+", "80+",
    ]  # fmt: skip
    assert age_group(None) == age_group(-1) == UNKNOWN_GROUP


def test_states_are_in_the_order_of_the_findings():
    array = states({Finding.FRACTURE: State.UNCERTAIN}, other=State.NOT_COVERED)
    assert array.dtype == np.int8
    assert array[FINDINGS.index(Finding.FRACTURE)] == State.UNCERTAIN
    assert (np.delete(array, FINDINGS.index(Finding.FRACTURE)) == State.NOT_COVERED).all()


def test_frontal_views():
    assert [view.frontal for view in (View.PA, View.AP, View.LATERAL, View.OTHER)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_case_record_tells_all_but_the_pixels(cases):
    case = next(case for case in cases if case.reference.details and case.study.context.prior_studies)
    record = case_record(case)
    assert record["study_id"] == case.study.study_id
    assert record["labels"] == case.reference.labels.tolist()
    assert record["context"]["prior_studies"] == list(case.study.context.prior_studies)
    other = Case(case.study, "someone else", case.reference, case.groups)
    assert case_record(other) != record


def test_pixels_are_read_when_asked_for(tmp_path):
    image = Image(tmp_path / "absent.jpg", View.PA)  # no error yet: nothing is read
    with pytest.raises(Exception, match="no such picture"):
        image.pixels()
