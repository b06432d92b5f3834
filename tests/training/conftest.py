"""A ViT and a cohort small enough to train on in a second."""

import pytest
import torch
from small_training import Desk
from transformers import ViTConfig, ViTModel

from harness.phantom import make_phantom


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    """90 phantom studies with small pictures, in the splits train and validate."""
    root = tmp_path_factory.mktemp("phantom") / "small"
    make_phantom(root, 90, 9, test_share=0.0, image_size=64, workers=1)
    return root


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """A folder with a ViT of 64 x 64 pixels and random weights."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=64,
        patch_size=16, num_channels=1,
    )  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture
def desk(small_root, vit):
    return lambda **changes: Desk(small_root, vit, **changes)
