"""The shipped checkpoint on freshly made phantoms: it sees, and it says what it sees."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.annotators.rules import RulesLabeler
from harness.candidates.multimodal.checkpoints import checkpoint_digest
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.prompts import STANDARD
from harness.candidates.multimodal.sections import split_sections
from harness.candidates.multimodal.writing import write
from harness.cohorts.phantom import PhantomCohort
from harness.phantom import make_phantom
from harness.report import CRITICAL, INDEX, State
from harness.training.config import read_training_config

FIXTURES = Path(__file__).parents[2] / "fixtures"
CHECKPOINT = FIXTURES / "checkpoints" / "phantom-multimodal"
SEED = 977_001
STUDIES = 80


class Reader:
    """The checkpoint with greedy decoding, on pictures that may be other ones than the study's."""

    def __init__(self):
        self.model = RadiologyMultimodalModel.from_pretrained(CHECKPOINT)
        self.processor = MultimodalProcessor.from_pretrained(CHECKPOINT)

    def read(self, studies, images):
        """Reports of some studies, their labels, and what the head saw; images (n, V, 1, H, W)."""
        with torch.inference_mode():
            features = self.model.encode(images)
            scores = torch.sigmoid(self.model.detect(features)).tolist()
        written = write(self.processor, studies, STANDARD, scores, self.language(features))
        texts = [one.text for one in written]
        found = [set(self.processor.detected(row)) for row in scores]
        parts = [split_sections(text) for text in texts]
        return texts, RulesLabeler().label([f"{p.findings}\n{p.impression}" for p in parts]), found

    def language(self, features):
        def generate(places, prompts):
            answers = []
            for start in range(0, len(prompts), 20):
                part = slice(start, start + 20)
                words, seen = self.processor.encode(prompts[part]), features[list(places)[part]]
                answers += self.model.generate(
                    None, words.input_ids, words.attention_mask, vision_features=seen, beams=1
                )
            return answers

        return generate


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def fresh(reader, tmp_path_factory):
    """Phantoms that no training saw, with their pictures."""
    root = tmp_path_factory.mktemp("phantom") / "fresh"
    make_phantom(root, STUDIES, SEED, test_share=1.0, workers=1)
    cases = list(PhantomCohort(root, "test"))
    images = torch.stack([reader.processor.images(case.study)[0] for case in cases])
    return cases, images


@pytest.fixture(scope="module")
def told(reader, fresh):
    cases, images = fresh
    return reader.read([case.study for case in cases], images)


def critical(labels):
    """Whether each critical finding is stated, as present or possible; shape (n, 4)."""
    columns = [INDEX[finding] for finding in CRITICAL]
    return np.isin(np.asarray(labels)[:, columns], (State.POSITIVE, State.UNCERTAIN))


def youden(stated, there):
    """Sensitivity + specificity - 1: 0 by chance, 1 at best."""
    return stated[there].mean() - stated[~there].mean()


def test_it_is_the_one_that_the_readme_describes():
    text = (FIXTURES / "README.md").read_text()
    digest = checkpoint_digest(CHECKPOINT)
    assert digest in text
    assert digest in (CHECKPOINT / "README.md").read_text()
    size = sum(path.stat().st_size for path in CHECKPOINT.rglob("*") if path.is_file())
    assert size <= 8_000_000
    weights = next(CHECKPOINT.glob("*.safetensors"))
    assert weights.read_bytes()[8:4096].count(b'"F16"') > 0


def test_no_judged_cohort_shares_its_seed():
    config = read_training_config(FIXTURES / "training" / "phantom.yaml")
    assert config.data.phantom is not None
    seed = config.data.phantom.seed
    assert seed != SEED
    assert f"seed {seed}" in (CHECKPOINT / "README.md").read_text()
    root = FIXTURES.parent
    texts = [root / "README.md", *(root / "suites").glob("*.yaml")]
    used = {int(n) for path in texts for n in re.findall(r"--seed (\d+)", path.read_text())}
    assert seed not in used
    assert 20_260_000 not in used


def test_it_names_planted_critical_findings_more_often_than_chance(fresh, told):
    """Youden's J of the text over the four critical findings, by a margin of 0.25 above chance."""
    cases, _ = fresh
    there = critical([case.reference.labels for case in cases])
    assert youden(critical(told[1]), there) > 0.25


def test_what_the_head_detects_the_text_says(told):
    _, labels, found = told
    detected = np.array([[finding in names for finding in CRITICAL] for names in found])
    stated = critical(labels)
    assert stated[detected].mean() > 0.95
    assert stated[~detected].mean() < 0.1


def test_another_picture_gives_another_report(reader, fresh, told):
    cases, images = fresh
    studies = [case.study for case in cases][:20]
    swapped, _, _ = reader.read(studies, images[:20].flip(0))
    changed = np.mean([a != b for a, b in zip(swapped, told[0][:20], strict=True)])
    assert changed > 0.7


def test_shuffled_pixels_destroy_sensitivity(reader, fresh, told):
    """The same pixels in random places. What is left is what a picture's histogram tells."""
    cases, images = fresh
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(images[0, 0, 0].numel(), generator=generator)
    shuffled = images.flatten(3)[..., order].reshape(images.shape)
    _, labels, _ = reader.read([case.study for case in cases], shuffled)
    there = critical([case.reference.labels for case in cases])
    assert youden(critical(labels), there) < youden(critical(told[1]), there) / 2
