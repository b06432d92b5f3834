import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.numpy import load_file, save_file

from harness.annotators.rules import RulesLabeler
from harness.candidates.template import (
    ABSENT,
    NOTHING,
    SENTENCES,
    TemplateCandidate,
    fill_template,
    template_baseline,
)
from harness.candidates.vit import VitClassifier
from harness.data_files import data_path
from harness.errors import CandidateError, CohortError
from harness.report import CRITICAL, FINDINGS, INDEX, Finding, State
from harness.study import Image, Study, View
from harness.testing import check_candidate


class Fixed:
    """A classifier with set answers."""

    thresholds = dict.fromkeys(FINDINGS, 0.5)

    def __init__(self, **scores):
        self.scores = dict.fromkeys(FINDINGS, 0.0) | {
            Finding(name.replace("_", " ")): score for name, score in scores.items()
        }

    def probabilities(self, picture):
        return self.scores


def test_each_label_fills_its_sentence():
    text = template_baseline("x.jpg", FINDINGS, Fixed(Pneumothorax=0.9, Fracture=0.6, Edema=0.4))
    findings, impression = text.split("\n")
    assert SENTENCES[Finding.PNEUMOTHORAX] in findings
    assert ABSENT[Finding.PNEUMOTHORAX] not in findings
    assert ABSENT[Finding.PLEURAL_EFFUSION] in findings
    assert SENTENCES[Finding.EDEMA] not in text
    assert impression == f"{SENTENCES[Finding.PNEUMOTHORAX]} {SENTENCES[Finding.FRACTURE]}"


def test_only_the_labels_asked_for_are_reported():
    text = template_baseline("x.jpg", [Finding.FRACTURE], Fixed(Pneumothorax=0.9, Fracture=0.6))
    assert SENTENCES[Finding.PNEUMOTHORAX] not in text


def test_nothing_found_is_a_normal_report():
    assert template_baseline("x.jpg", FINDINGS, Fixed()).endswith(NOTHING)


def test_the_labeler_reads_in_the_sentences_what_was_put_into_them():
    labeler = RulesLabeler()
    for finding in SENTENCES:
        labels = labeler.label(["\n".join(fill_template([finding]))])[0]
        found = {f for f in FINDINGS if labels[INDEX[f]] == State.POSITIVE}
        assert finding in found
        assert found - {finding, Finding.NO_FINDING} == set(), finding
        assert (Finding.NO_FINDING in found) == (finding is Finding.SUPPORT_DEVICES)
    normal = labeler.label(["\n".join(fill_template([]))])[0]
    assert (normal == State.POSITIVE).sum() == 1
    assert normal[INDEX[Finding.NO_FINDING]] == State.POSITIVE


def test_it_conforms(cases):
    assert check_candidate(TemplateCandidate(), [case.study for case in cases[:3]]) == []


def test_reports_are_structured_and_flag_critical_findings(cases):
    candidate = TemplateCandidate()
    candidate.prepare()
    for case in cases[:40]:
        report = candidate.report(case.study)
        for item in report.findings:
            assert item.confidence >= candidate.classifier.thresholds[item.finding] - 1e-4
            assert item.is_critical == (item.finding in CRITICAL)
            assert SENTENCES[item.finding] in report.findings_text
        assert report.requires_radiologist_review == any(item.is_critical for item in report.findings)


def test_a_study_without_pictures_has_no_report():
    with pytest.raises(CandidateError, match="needs a picture"):
        TemplateCandidate().report(Study("1", ()))


def test_a_picture_that_cannot_be_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(CohortError, match="not a readable picture"):
        TemplateCandidate().report(Study("1", (Image(tmp_path / "a.jpg", View.PA),)))


# The classifier


@pytest.fixture
def checkpoint(tmp_path):
    return shutil.copytree(data_path("checkpoints") / "phantom-vit", tmp_path / "vit")


def test_the_shipped_weights_are_small():
    assert (data_path("checkpoints") / "phantom-vit" / "model.safetensors").stat().st_size <= 3_000_000


def test_weights_and_thresholds_are_in_the_digest(checkpoint):
    before = VitClassifier(checkpoint).digest()
    assert VitClassifier(data_path("checkpoints") / "phantom-vit").digest() == before
    thresholds = json.loads((checkpoint / "thresholds.json").read_text())
    (checkpoint / "thresholds.json").write_text(json.dumps({**thresholds, "Fracture": 0.99}))
    assert VitClassifier(checkpoint).digest() != before


def test_probabilities_follow_the_picture(checkpoint, tmp_path):
    classifier = VitClassifier(checkpoint)
    black, noise = np.zeros((64, 64), np.uint8), np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    found = []
    for name, pixels in (("a.png", black), ("b.png", noise)):
        Pillow.fromarray(pixels).save(tmp_path / name)
        found.append(classifier.probabilities(tmp_path / name))
        assert set(found[-1]) == set(FINDINGS)
        assert all(0 <= score <= 1 for score in found[-1].values())
    assert found[0] != found[1]


def test_no_weights_and_pickles_are_refused(checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(CandidateError, match=r"no model\.safetensors"):
        VitClassifier(checkpoint).load()


def test_config_and_weights_that_disagree_are_refused(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    name = next(key for key in weights if "layernorm_before" in key)
    left = {key: value for key, value in weights.items() if key != name}
    save_file(left, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CandidateError, match="config and weights disagree on 1 tensors, first"):
        VitClassifier(checkpoint).load()


def test_damaged_weights_are_refused(checkpoint):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CandidateError, match="does not load as a ViT"):
        VitClassifier(checkpoint).load()


def test_a_model_of_other_labels_is_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    config["id2label"] = {key: f"cat {key}" for key in config["id2label"]}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(CandidateError, match="holds none of the 14 CheXpert findings"):
        VitClassifier(checkpoint).load()


def test_torch_is_not_needed_to_name_a_candidate():
    import subprocess

    code = (
        "import sys; from harness.candidates import open_candidate\n"
        "open_candidate('template').digest()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
