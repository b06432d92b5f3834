import math

import numpy as np
import pytest
import torch

from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.onnx.model import OnnxModel
from harness.deployment.numbers import CheckpointArm, PackageArm, compare_numbers
from harness.deployment.parity import decided
from harness.report import Finding
from harness.status import Status
from harness.study import Case, Reference, Study, View
from harness.suite_comparison import ParityPart
from tiny_multimodal import network
from tiny_package import make_package, resealed, study_of

LIMITS = ParityPart(probability=0.02, detections=0.9, tokens=0.9)
TEXT = ("There is a moderate right pneumothorax. The heart size is normal.", "Right pneumothorax.")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    views = [(View.PA,), (View.PA, View.LATERAL), (View.LATERAL,)]
    return [Case(study_of(folder, *views[k % 3], seed=k), f"p{k}", Reference(*TEXT)) for k in range(32)]


@pytest.fixture(scope="module")
def full(tiny_checkpoint):
    folder, model = tiny_checkpoint
    return CheckpointArm(model, MultimodalProcessor.from_pretrained(folder))


def judged(full, tiny_package, cases):
    numbers = compare_numbers(full, PackageArm(OnnxModel(tiny_package)), iter(cases))
    return numbers, {item.id: item.status for item in decided(numbers, LIMITS)}


def test_a_faithful_package(full, tiny_package, cases):
    numbers, found = judged(full, tiny_package, cases)
    assert set(found.values()) == {Status.PASS}
    assert numbers.studies == len(cases)
    assert numbers.logit_greatest < 1e-4
    assert numbers.logit_mean <= numbers.logit_greatest
    assert numbers.probability_greatest < 1e-6
    assert numbers.token_agreement == numbers.detection_agreement == 1
    # 32 patients, all agreeing: nine in ten is shown, 99 in a hundred is not.
    strict = ParityPart(probability=0.02, detections=0.99, tokens=0.99)
    assert {item.status for item in decided(numbers, strict)[1:]} <= {Status.NOT_EVALUATED, Status.PASS}
    assert numbers.token_bound < 1


def test_tokens_are_those_of_the_report(full, tiny_package, cases):
    numbers, _ = judged(full, tiny_package, cases[:1])
    text = full.processor.ids(f"Findings: {TEXT[0]}\nImpression: {TEXT[1]}")
    assert numbers.tokens == len(text) + 1  # and the one that ends it


def test_scaled_weights_of_the_language_model(tiny_checkpoint, full, cases, tmp_path):
    folder, _ = tiny_checkpoint
    model = network()
    with torch.no_grad():
        for layer in model.language.model.layers:
            layer.mlp.down_proj.weight *= 2
    make_package(model, folder, tmp_path / "package")
    numbers, found = judged(full, tmp_path / "package", cases)
    assert found == {
        "numbers.finding-probability": Status.PASS, "numbers.detections": Status.PASS,
        "numbers.tokens": Status.FAIL,
    }  # fmt: skip
    assert numbers.token_agreement < 0.9


def test_two_findings_exchanged_in_the_head(tiny_checkpoint, full, cases, tmp_path):
    folder, _ = tiny_checkpoint
    model = network()
    order = list(range(14))
    order[9], order[10] = order[10], order[9]
    with torch.no_grad():
        model.head.weight.copy_(model.head.weight[order].clone())
        model.head.bias.copy_(model.head.bias[order].clone())
    make_package(model, folder, tmp_path / "package")
    numbers, found = judged(full, tmp_path / "package", cases)
    assert found["numbers.finding-probability"] is Status.FAIL
    assert found["numbers.tokens"] is Status.PASS  # the text does not depend on the head here
    assert numbers.probability_worst in (Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION)


def test_wrong_normalisation(full, tiny_package, cases, tmp_path):
    def change(record):
        record["config"].update(image_mean=0.0, image_std=1.0)

    _, found = judged(full, resealed(tiny_package, tmp_path / "other", change), cases)
    assert found["numbers.finding-probability"] is Status.FAIL


def test_nan_counts_against_the_package(full, tiny_package, cases):
    class Broken(PackageArm):
        def look(self, study):
            seen, logits = super().look(study)
            return seen, np.where(np.arange(14) == 3, np.nan, logits).astype(np.float32)

        def foretell(self, seen, ids):
            return super().foretell(seen, ids) * np.nan

    numbers = compare_numbers(full, Broken(OnnxModel(tiny_package)), iter(cases))
    assert {item.status for item in decided(numbers, LIMITS)} == {Status.FAIL}
    assert numbers.token_agreement == 0
    assert numbers.detection_agreement == pytest.approx(13 / 14)
    assert numbers.probability_worst is Finding.LUNG_OPACITY


def test_studies_that_are_refused(full, tiny_package, cases):
    empty = Case(Study("none", ()), "p", Reference(*TEXT))
    numbers, _ = judged(full, tiny_package, [*cases[:2], empty])
    assert (numbers.studies, numbers.refused_by_both, numbers.refused_by_one) == (2, 1, 0)

    class Choosy(PackageArm):
        def look(self, study):
            from harness.errors import CohortError

            raise CohortError("no")

    numbers = compare_numbers(full, Choosy(OnnxModel(tiny_package)), iter([*cases, empty]))
    assert (numbers.studies, numbers.refused_by_both, numbers.refused_by_one) == (0, 1, len(cases))
    assert {item.status for item in decided(numbers, LIMITS)} == {Status.FAIL}


def test_nothing_to_compare_is_not_evaluated(full, tiny_package, cases):
    numbers, found = judged(full, tiny_package, [])
    assert set(found.values()) == {Status.NOT_EVALUATED}
    assert math.isnan(numbers.logit_mean)
    silent = [Case(case.study, case.patient_id, Reference()) for case in cases]
    numbers, found = judged(full, tiny_package, silent)
    assert numbers.without_text == len(cases)
    assert found["numbers.tokens"] is Status.NOT_EVALUATED
    assert found["numbers.detections"] is Status.PASS
