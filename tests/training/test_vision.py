import pytest
import torch

from harness.candidates.multimodal.parts import load_vision
from harness.errors import TrainingError
from harness.training.vision import resized_positions, vision_of_size


def test_a_vit_that_fits_is_taken_as_it_is(vit):
    for size in (None, 64):
        with vision_of_size(vit, size) as source:
            assert source == vit


def test_another_size_keeps_every_weight_but_the_positions(vit):
    before = load_vision(vit).encoder
    with vision_of_size(vit, 96) as source:
        after = load_vision(source).encoder
    assert after.config.image_size == 96
    assert after.embeddings.position_embeddings.shape == (1, 1 + 36, 16)
    old, new = before.state_dict(), after.state_dict()
    changed = {name for name in old if old[name].shape != new[name].shape or not old[name].equal(new[name])}
    assert changed == {"embeddings.position_embeddings"}
    assert after(torch.rand(1, 1, 96, 96)).last_hidden_state.isfinite().all()


def test_interpolation_keeps_cls_a_constant_and_the_order_of_places():
    positions = torch.full((1, 17, 1), 3.0)
    positions[0, 0] = 7.0
    assert resized_positions(positions, 9).flatten().tolist() == pytest.approx([7.0, *[3.0] * 81])
    rows = torch.cat([torch.zeros(1, 1, 1), torch.arange(16.0).reshape(1, 16, 1)], dim=1)
    larger = resized_positions(rows, 8)[0, 1:, 0].unflatten(0, (8, 8))
    assert (larger.diff(dim=0) > 0).all()
    assert (larger.diff(dim=1) > 0).all()


def test_a_size_that_the_patches_do_not_tile_is_refused(vit):
    with pytest.raises(TrainingError, match="100 is no multiple"), vision_of_size(vit, 100):
        pass
