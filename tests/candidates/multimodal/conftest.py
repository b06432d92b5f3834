"""What the tests of the multimodal model share; nothing here may be changed by a test."""

import numpy as np
import pytest
from PIL import Image as Pillow

from harness.study import Context, Image, Sex, Study
from tiny_multimodal import network, tiny_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(params=["llama", "biogpt"])
def model(request):
    return network(request.param)


@pytest.fixture
def make_study(tmp_path):
    """Makes a study with random pictures of the given views, 60 x 40 pixels each."""

    def make(*views, seed=0, **context):
        values = np.random.default_rng(seed)
        images = []
        for number, view in enumerate(views):
            path = tmp_path / f"{seed}-{number}.png"
            Pillow.fromarray(values.integers(0, 255, (40, 60), dtype=np.uint8)).save(path)
            images.append(Image(path, view))
        told = {"age": 63, "sex": Sex.FEMALE, "indication": "Cough.", **context}
        return Study(f"study-{seed}", tuple(images), Context(**told))

    return make


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    directory = tmp_path / "checkpoint"
    network().save_pretrained(directory, tokenizer)
    return directory
