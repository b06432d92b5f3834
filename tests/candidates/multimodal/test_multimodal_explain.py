import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from harness.candidates.multimodal.candidate import MultimodalCandidate
from harness.candidates.multimodal.explain import (
    Place,
    box_of,
    finding_maps,
    hanging,
    in_picture,
    overlay,
    rollout,
    sentence_maps,
    sentence_tokens,
)
from harness.candidates.multimodal.generation import Generated
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.data_files import data_path
from harness.pixels import read_pixels
from harness.report import FINDINGS, Finding
from harness.study import View
from tiny_multimodal import SIZE, language_values

PHANTOM_VIT = data_path("checkpoints") / "phantom-vit"
TEXT = (
    "Findings: There is a right pneumothorax. The heart size is normal.\nImpression: 1. Right pneumothorax."
)
TWO = (Finding.PNEUMOTHORAX, Finding.CARDIOMEGALY)


@pytest.fixture
def candidate(checkpoint, monkeypatch, tokenizer):
    answer = Generated(tuple(tokenizer(TEXT)["input_ids"]), -1.0, True)
    monkeypatch.setattr(RadiologyMultimodalModel, "generate", lambda self, *_, **__: [answer])
    return MultimodalCandidate(checkpoint)


@pytest.mark.parametrize("method", ["gradient", "attention"])
def test_maps_of_every_finding_and_sentence(candidate, make_study, method):
    study = make_study(View.PA, View.LATERAL)
    found = candidate.explain(study, method)
    assert found.picture == study.images[0].path
    assert tuple(found.findings) == FINDINGS
    assert [words for words, _ in found.sentences] == [
        "There is a right pneumothorax.",
        "The heart size is normal.",
        "1. Right pneumothorax.",
    ]
    for map_ in [*found.findings.values(), *(map_ for _, map_ in found.sentences)]:
        assert map_.shape == (21, SIZE)  # 60 x 40 pixels
        assert map_.dtype == np.float32
        assert map_.min() >= 0
        assert 0.5 < map_.max() <= 1
    again = candidate.explain(study, method)
    assert all(np.array_equal(found.findings[f], again.findings[f]) for f in FINDINGS)


def test_gradient_maps_differ_between_findings_and_attention_maps_do_not(candidate, make_study):
    study = make_study(View.PA)
    a, b = TWO
    weighted, plain = candidate.explain(study), candidate.explain(study, "attention")
    assert not np.allclose(weighted.findings[a], weighted.findings[b], atol=0.05)
    assert np.array_equal(plain.findings[a], plain.findings[b])
    maps = [map_ for _, map_ in weighted.sentences]
    assert not np.allclose(maps[0], maps[1], atol=0.05)


def test_maps_of_a_trained_encoder_lie_on_the_planted_findings(cases):
    """The classifier that comes with the package, on phantoms of another seed than it was trained on."""
    model = RadiologyMultimodalModel.from_parts(
        PHANTOM_VIT, language_values(), projector_hidden=8, views=("frontal",)
    ).eval()
    config, shares, hits, areas = model.config, [], [], []
    for case in cases[:150]:
        signs = [sign for sign in case.reference.details if sign.bounding_box is not None]
        image = case.study.images[0]
        grey = (read_pixels(image.path, config.image_size) - config.image_mean) / config.image_std
        picture = torch.from_numpy(grey.astype(np.float32))[None, None]
        place = Place(image.path, 0, True, (0, 0, config.image_size, config.image_size))
        for sign in signs:
            (map_,) = finding_maps(model, picture, torch.tensor([True]), [sign.finding], 0).values()
            spread = in_picture(map_, place, config.image_size)
            x0, y0, x1, y1 = (round(side * config.image_size) for side in sign.bounding_box)
            inside = np.zeros(spread.shape, dtype=bool)
            inside[y0 : y1 + 1, x0 : x1 + 1] = True
            shares.append(spread[inside].mean() / spread.mean())
            hits.append(inside.flat[spread.argmax()])
            areas.append(inside.mean())
    assert len(shares) > 100
    assert np.mean(shares) > 1.7
    assert np.mean(hits) > 1.5 * np.mean(areas)  # pointing game: chance is the boxes' share of the picture


def test_explaining_leaves_the_model_as_it_was(checkpoint, make_study):
    candidate = MultimodalCandidate(checkpoint)
    study = make_study(View.PA)
    before = candidate.report(study)
    model, _ = candidate._loaded
    kinds = model.vision.config._attn_implementation, model.causal_lm.config._attn_implementation
    candidate.explain(study)
    assert (model.vision.config._attn_implementation, model.causal_lm.config._attn_implementation) == kinds
    assert all(weight.grad is None for weight in model.parameters())
    after = candidate.report(study)
    skip = {"processing_time_ms"}
    assert before.model_dump(exclude=skip) == after.model_dump(exclude=skip)


def test_an_absent_view_has_no_part_in_a_map(model):
    images = torch.randn(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    shown = torch.tensor([False, True])
    other = images.clone()
    other[0] = torch.nan
    for pictures in (images, other):
        maps = finding_maps(model, pictures, shown, TWO, 1)
        assert all(np.isfinite(map_).all() and map_.max() > 0 for map_ in maps.values())
    features = model.encode(images[None])
    prompt = torch.arange(3, 8)[None]
    absent, there = (
        sentence_maps(model, features, shown[None], prompt, [9, 8, 7], [[0, 1], [2]], slot, "attention")
        for slot in (0, 1)
    )
    assert max(map_.max() for map_ in absent) == 0
    assert min(map_.max() for map_ in there) > 0


def test_relevance_by_hand():
    attention = torch.tensor([[[0.25, 0.75], [0.5, 0.5]], [[0.75, 0.25], [0.5, 0.5]]])
    half = (torch.tensor([[0.5, 0.5], [0.5, 0.5]]) + torch.eye(2)) / 2
    assert torch.allclose(rollout([attention] * 3), half @ half @ half)
    assert torch.allclose(rollout([attention]).sum(dim=-1), torch.ones(2))
    z, g = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert hanging(z, g).tolist() == [10.0, 0.0]


def test_a_map_lies_where_the_picture_lies(tmp_path):
    patches = np.zeros((4, 4), dtype=np.float32)
    patches[1, 0] = 5.0  # in the square: rows 8 to 16, columns 0 to 8
    wide = in_picture(patches, Place(tmp_path, 0, True, (0, 8, 32, 24)), 32)
    assert wide.shape == (16, 32)
    assert wide[:8, :8].mean() > 0.6
    assert wide[12:].max() == 0
    nothing = in_picture(np.full((4, 4), 2.0, dtype=np.float32), Place(tmp_path, 0, True, (0, 0, 32, 32)), 32)
    assert nothing.max() == 0
    assert box_of(nothing) is None


def test_the_box_surrounds_the_strongest_spot_alone():
    map_ = np.zeros((10, 20), dtype=np.float32)
    map_[2:5, 4:10] = 0.6
    map_[3, 5] = 1.0
    map_[8:, 18:] = 0.9  # a weaker spot elsewhere
    assert box_of(map_) == (0.2, 0.2, 0.5, 0.5)


def test_every_token_of_a_sentence_is_the_sentences(checkpoint, tokenizer):
    processor = MultimodalProcessor.from_pretrained(checkpoint)
    tokens = tokenizer(TEXT)["input_ids"]
    told = sentence_tokens(processor, tokens, TEXT)
    for words, places in told:
        assert words in processor.decode([tokens[place] for place in places])
    assert sentence_tokens(processor, [], "") == []


def test_overlay_is_grey_where_nothing_is_and_orange_where_something_is(tmp_path):
    grey = np.full((40, 60), 100, dtype=np.uint8)
    path = tmp_path / "a.png"
    Pillow.fromarray(grey).save(path)
    map_ = np.zeros((20, 30), dtype=np.float32)
    map_[:, 20:] = 1.0
    drawn = np.asarray(overlay(path, map_))
    assert drawn.shape == (40, 60, 3)
    assert (drawn[:, :30] == 100).all()
    red, green, blue = drawn[20, 55].tolist()
    assert red > green > blue
    deep = Pillow.fromarray(grey.astype(np.uint16) * 257)
    assert np.abs(np.asarray(overlay(deep, map_)).astype(int) - drawn).max() <= 1
