from pathlib import Path

import pytest

from harness.errors import TrainingError
from harness.training.config import read_training_config

RECIPES = Path(__file__).parents[2] / "fixtures" / "training"
GOOD = """\
name: x
seed: 1
data: {cohort: "phantom:c"}
model:
  vision: some/vit
  language: some/llama
"""


def read(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return read_training_config(path)


@pytest.mark.parametrize("name", ["phantom", "mimic-cxr"])
def test_the_shipped_recipes_are_sound(name):
    config = read_training_config(RECIPES / f"{name}.yaml")
    assert config.data.train != config.data.validate_on


def test_the_published_recipe_is_the_default_and_what_mimic_cxr_states(tmp_path):
    for config in (read(tmp_path, GOOD), read_training_config(RECIPES / "mimic-cxr.yaml")):
        assert (config.projector.epochs, config.projector.learning_rate) == (5, 1e-3)
        assert (config.joint.epochs, config.joint.learning_rate) == (10, 2e-5)
        assert config.language_pretraining is None


def test_folders_are_meant_from_the_files_own(tmp_path):
    (tmp_path / "vit").mkdir()
    config = read(tmp_path, GOOD.replace("some/vit", "./vit"))
    assert config.model.vision == str(tmp_path / "vit")
    assert config.model.language == "some/llama"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 1", "sead: 1", r"c.yaml:2:1: sead: unknown key; did you mean seed\?"),
        ("seed: 1\n", "", r"c.yaml:1:1: seed: missing"),
        ("seed: 1", "seed: -1", r"c.yaml:2:1: seed: .* \(it is -1\)"),
        ("seed: 1", "seed: [", r"c.yaml:4:1: not valid YAML"),
        ("seed: 1", "seed: 1\nseed: 2", r"c.yaml:3:1: seed: duplicate key, first on line 2"),
        ("phantom:c", 'phantom:c", traim: "t', r"c.yaml:3:29: data.traim: unknown key; did you mean train\?"),
        ("phantom:c", 'phantom:c", train: "test', r"c.yaml:3:1: data: .*must be different splits"),
        (
            "seed: 1",
            "seed: 1\njoint: {epochs: 0, learning_rate: 0.1}",
            r"c.yaml:3:9: joint.epochs: .*it is 0",
        ),
        ("seed: 1", "seed: 1\njoint: {epochs: 1, learning_rate: 2}", r"c.yaml:3:20: joint.learning_rate:"),
        ("seed: 1", "seed: 1\noptimiser: {clip: .nan}", r"c.yaml:3:13: optimiser.clip:"),
        (
            "seed: 1",
            "seed: 1\ninstructions: {brif: 1.0}",
            r"no instruction brif; there is standard, by-region",
        ),
        ("seed: 1", "seed: 1\ninstructions: {}", r"instructions needs at least one"),
        ("some/vit", "./nowhere", r"c.yaml:5:3: model.vision: no such folder: .*nowhere; correct it"),
        (
            "some/llama",
            "{model_type: llama}",
            r"random.*add language_pretraining, or name a pretrained model",
        ),
        (
            "seed: 1",
            "seed: 1\nlanguage_pretraining: {vocabulary: 400, epochs: 1, learning_rate: 0.1}",
            r"pretrained already; take language_pretraining out",
        ),
    ],
)
def test_a_bad_configuration_is_told_with_place_and_remedy(tmp_path, old, new, told):
    assert old in GOOD
    with pytest.raises(TrainingError, match=told):
        read(tmp_path, GOOD.replace(old, new))


def test_every_problem_is_told_at_once(tmp_path):
    with pytest.raises(TrainingError) as raised:
        read(tmp_path, GOOD.replace("seed: 1", "sead: 1") + "nothing: 3\n")
    assert len(str(raised.value).splitlines()) == 3


def test_a_file_that_is_no_mapping_or_not_there(tmp_path):
    with pytest.raises(TrainingError, match="a training is a mapping"):
        read(tmp_path, "[1, 2]")
    with pytest.raises(TrainingError, match="no such file"):
        read_training_config(tmp_path / "none.yaml")
