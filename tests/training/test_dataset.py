import numpy as np
import pytest
import torch

from harness.candidates.multimodal.config import IGNORED
from harness.cohorts.base import Cohort
from harness.cohorts.phantom import PhantomCohort
from harness.errors import TrainingError
from harness.report import FINDINGS, State
from harness.study import Case, Reference, Study
from harness.training.dataset import ReportDataset, refuse_shared_patients


class Few(Cohort):
    """Some cases of another cohort, changed."""

    def __init__(self, cases):
        self.cases = list(cases)

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        return self.cases[index]

    def study_ids(self):
        return [case.study.study_id for case in self.cases]

    def patient_ids(self):
        return [case.patient_id for case in self.cases]


@pytest.fixture(scope="module")
def work(small_root, vit):
    from small_training import Desk

    return Desk(small_root, vit)


def answer(work, batch, row):
    return work.processor.decode(batch.labels[row][batch.labels[row] != IGNORED].tolist())


def prompt(work, batch, row):
    here = (batch.attention_mask[row] == 1) & (batch.labels[row] == IGNORED)
    return work.processor.decode(batch.input_ids[row][here].tolist())


def test_a_batch_is_prompt_then_report_and_only_the_report_counts(work):
    batch = work.validation.batch([0, 3, 5])
    for row, index in enumerate([0, 3, 5]):
        case = work.validation.case(index)
        told = answer(work, batch, row)
        assert case.reference.impression in told
        assert case.reference.findings in told
        assert prompt(work, batch, row).endswith("Report:")
        assert case.reference.impression not in prompt(work, batch, row)
        counted = batch.labels[row][batch.labels[row] != IGNORED]
        assert counted[-1] == work.processor.eos
    assert batch.finding_labels.tolist() == work.validation.labels[[0, 3, 5]].tolist()


def test_the_prompt_names_what_the_labels_state(work):
    batch = work.validation.batch(range(10))
    for row in range(10):
        states = dict(zip(FINDINGS[1:], work.validation.labels[row][1:], strict=True))
        line = next(line for line in prompt(work, batch, row).splitlines() if line.startswith("Detected"))
        for finding, state in states.items():
            assert (finding.lower() in line) == (state in (State.POSITIVE, State.UNCERTAIN))


def test_instructions_vary_by_turn_and_are_a_function_of_seed_turn_and_study(work):
    turns = [
        [prompt(work, work.train.batch(range(12), turn), row) for row in range(12)] for turn in (0, 1, 0)
    ]
    assert turns[0] == turns[2] != turns[1]
    asked = {text.splitlines()[-2] for texts in turns for text in texts}
    assert any(line.startswith("Question: Is there") for line in asked)
    assert any("Name only what is abnormal" in line for line in asked)


def test_a_question_is_answered_from_the_labels(work):
    answers = {State.POSITIVE: "Yes.", State.NEGATIVE: "No.", State.UNCERTAIN: "Possibly."}
    seen = 0
    for turn in range(4):
        batch = work.train.batch(range(len(work.train)), turn)
        for row in range(len(work.train)):
            lines = prompt(work, batch, row).splitlines()
            if lines[-2].startswith("Question: Is there "):
                name = lines[-2].removeprefix("Question: Is there ").rstrip("?")
                column = [finding.lower() for finding in FINDINGS].index(name)
                assert answer(work, batch, row) == answers[State(work.train.labels[row, column])]
                seen += 1
    assert seen > 10


def test_features_on_disk_are_the_encoders_and_are_used_again(work, tmp_path, monkeypatch):
    plain = work.validation.batch([2, 1])
    direct = work.model.encode(plain.images)
    data = ReportDataset(PhantomCohort(work.validation.cohort.root, "validate"), work.processor)
    data.encode_pictures(work.model, tmp_path, "v1")
    cached = data.batch([2, 1])
    assert cached.images is None
    torch.testing.assert_close(cached.vision_features, direct, rtol=2e-3, atol=2e-3)
    assert torch.equal(cached.view_mask, plain.view_mask)
    monkeypatch.setattr(type(work.model), "encode", None)
    data.encode_pictures(work.model, tmp_path, "v1")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(TypeError):  # other weights: encoded anew
        data.encode_pictures(work.model, tmp_path, "v2")
    assert len(list(tmp_path.iterdir())) == 1, "what is not whole is not left behind"


def test_studies_without_report_or_view_are_left_out_and_counted(work):
    cases = [work.train.case(index) for index in range(5)]
    silent = Case(cases[0].study, "a", Reference(labels=cases[0].reference.labels))
    blind = Case(Study("x", ()), "b", cases[1].reference)
    bare = Case(cases[2].study, "c", Reference("Text.", "Text."))
    data = ReportDataset(Few([silent, blind, bare, *cases[3:]]), work.processor)
    assert (len(data), data.left_out) == (2, 3)
    with pytest.raises(TrainingError, match="none of the 3 studies has a report, labels and a frontal view"):
        ReportDataset(Few([silent, blind, bare]), work.processor)


def test_targets_follow_the_models_policies(work):
    codes = np.array([[-1, 0, 1, 2, 3, *[2] * 9]], dtype=np.int8)
    data = ReportDataset(Few([work.train.case(0)]), work.processor)
    data.labels = codes
    assert np.isnan(data.targets()[0, [0, 4]]).all()  # not covered; uncertain, to be ignored
    assert data.targets()[0, 1:4].tolist() == [0, 1, 0]


def test_a_patient_in_two_splits_is_refused_and_not_named(work):
    first = work.train.case(0)
    other = ReportDataset(Few([first]), work.processor)
    with pytest.raises(
        TrainingError, match=r"1 patients of the training split .* the validation split"
    ) as raised:
        refuse_shared_patients(work.train, other, None)
    assert first.patient_id not in str(raised.value)
    with pytest.raises(TrainingError, match="in the split that is judged too"):
        refuse_shared_patients(work.train, work.validation, Few([first]))
    with pytest.raises(TrainingError, match="1 patients of the validation split"):
        refuse_shared_patients(work.train, work.validation, Few([work.validation.case(0)]))
    refuse_shared_patients(work.train, work.validation, None)
