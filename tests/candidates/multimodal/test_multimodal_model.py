import json

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, ViTConfig, ViTModel

from harness.candidates.multimodal.losses import detection_term
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.template import VitClassifier
from harness.data_files import data_path
from harness.errors import CandidateError
from harness.report import FINDINGS, State
from tiny_multimodal import PATCH, SIZE, TOKENS, configuration, language_values, network, vision_values

PHANTOM_VIT = data_path("checkpoints") / "phantom-vit"


def inputs(batch=2, length=9, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 2, 1, SIZE, SIZE, generator=generator)
    return images, torch.randint(3, TOKENS, (batch, length), generator=generator)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_shapes(model):
    images, ids = inputs()
    output = model(images, ids)
    assert output.logits.shape == (2, 9, TOKENS)
    assert output.label_logits.shape == (2, 14)
    assert output.loss is None
    assert model.encode(images).shape == (2, 2, 1 + (SIZE // PATCH) ** 2, 16)


def test_defaults_are_llavas_sizes():
    from harness.candidates.multimodal.config import MultimodalConfig

    config = MultimodalConfig(
        vision={"model_type": "vit", "image_size": 512, "hidden_size": 768, "num_channels": 1},
        language={"model_type": "llama", "hidden_size": 4096},
    )
    assert (config.image_size, config.projector_hidden, config.beams) == (512, 2048, 4)
    assert config.loss.model_dump() == {"report": 1.0, "detection": 0.5, "projector": 1e-4}
    assert config.prefix_length == 2 * 32 * 32


def test_the_projection_is_the_formula():
    model = network().double()
    z = torch.randn(3, 16, dtype=torch.float64)
    first, second = model.projector.first, model.projector.second
    from scipy.stats import norm

    inner = (z @ first.weight.T + first.bias).detach().numpy()
    gelu = inner * norm.cdf(inner)
    expected = gelu @ second.weight.T.detach().numpy() + second.bias.detach().numpy()
    np.testing.assert_allclose(model.projector(z).detach().numpy(), expected, rtol=1e-9)


def test_loss_terms_by_hand(model):
    weights = tuple(np.linspace(0.5, 4, 14).tolist())
    model = network(model.config.language["model_type"], positive_weights=weights, uncertain_policy="ignore")
    images, ids = inputs()
    labels = ids.clone()
    labels[0, :4] = -100
    labels[1, 6:] = -100
    codes = torch.tensor(np.random.default_rng(0).integers(-1, 4, (2, 14)))
    output = model(images, ids, labels=labels, finding_labels=codes)

    logits = output.logits.detach().double().numpy()
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    told = [
        -logs[row, place - 1, labels[row, place]]
        for row in range(2)
        for place in range(1, 9)
        if labels[row, place] != -100
    ]
    report = np.mean(told)
    assert output.report_tokens == len(told) == 10  # 5 of the first row, 5 of the second
    p = 1 / (1 + np.exp(-output.label_logits.detach().double().numpy()))
    terms = []
    for row in range(2):
        for column in range(14):
            state = int(codes[row, column])
            if state in (State.NOT_COVERED, State.UNCERTAIN):
                continue
            y = float(state == State.POSITIVE)  # not mentioned: negative
            q = p[row, column]
            terms.append(-(weights[column] * y * np.log(q) + (1 - y) * np.log(1 - q)))
    detection = np.mean(terms)
    assert output.detection_labels == len(terms)
    penalty = sum(float((w.detach().double() ** 2).sum()) for w in model.projector.parameters())
    assert output.report_loss.item() == pytest.approx(report, rel=1e-4)
    assert output.detection_loss.item() == pytest.approx(detection, rel=1e-4)
    assert output.projector_penalty.item() == pytest.approx(penalty, rel=1e-4)
    assert output.loss.item() == pytest.approx(1.0 * report + 0.5 * detection + 1e-4 * penalty, rel=1e-5)


@pytest.mark.parametrize(
    ("uncertain", "blank", "counted", "positive"),
    [("ignore", "ignore", 2, 1), ("positive", "ignore", 3, 2), ("negative", "negative", 4, 1)],
)
def test_label_policies(uncertain, blank, counted, positive):
    model = network(uncertain_policy=uncertain, blank_policy=blank)
    codes = torch.full((1, 14), int(State.NOT_COVERED))
    codes[0, :4] = torch.tensor([State.POSITIVE, State.NEGATIVE, State.UNCERTAIN, State.NOT_MENTIONED])
    logits = torch.full((1, 14), 2.0)
    loss, number = detection_term(logits, codes, model.config.targets(), model.positive_weights)
    assert number == counted
    by_hand = (positive * np.log1p(np.exp(-2)) + (counted - positive) * np.log1p(np.exp(2))) / counted
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_nothing_counted_is_no_loss_and_no_nan():
    model = network()
    images, ids = inputs()
    output = model(
        images,
        ids,
        labels=torch.full_like(ids, -100),
        finding_labels=torch.full((2, 14), int(State.NOT_COVERED)),
    )
    assert output.report_loss.item() == 0
    assert output.detection_loss.item() == 0
    output.loss.backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in model.parameters())


def test_shares_of_micro_batches_add_up_to_the_loss():
    model = network().double()
    images, ids = inputs(5)
    labels = ids.clone()
    for row in range(5):
        labels[row, : row + 1] = -100  # so that micro-batches count differently
    codes = torch.tensor(np.random.default_rng(3).integers(-1, 4, (5, 14)))
    whole = model(images, ids, labels=labels, finding_labels=codes)
    parts = [
        model(images[part], ids[part], labels=labels[part], finding_labels=codes[part])
        for part in (slice(0, 1), slice(1, 3), slice(3, 5))
    ]
    tokens, counted = whole.report_tokens, whole.detection_labels
    added = sum(model.share_of_loss(part, tokens, counted, 3) for part in parts)
    assert added.item() == pytest.approx(whole.loss.item(), rel=1e-6)
    naive = sum(part.loss for part in parts) / 3
    assert abs(naive.item() - whole.loss.item()) > 1e-3


def test_gradient_never_reaches_the_vision_encoder(model):
    model.train()
    assert not model.vision.training
    assert model.language.training
    images, ids = inputs()
    output = model(images, ids, labels=ids, finding_labels=torch.ones(2, 14))
    output.loss.backward()
    assert all(w.grad is None for w in model.vision.parameters())
    for part in (model.projector, model.head, model.language):
        assert any(w.grad is not None and w.grad.abs().sum() > 0 for w in part.parameters())


def test_gradient_reaches_only_what_is_not_frozen(model):
    model.language.requires_grad_(False)
    model.head.requires_grad_(False)
    images, ids = inputs()
    model(images, ids, labels=ids, finding_labels=torch.ones(2, 14)).loss.backward()
    reached = {name for name, w in model.named_parameters() if w.grad is not None}
    assert reached == {
        f"projector.{layer}.{kind}" for layer in ("first", "second") for kind in ("weight", "bias")
    }
    assert reached == {name for name, _ in model.trainable()}


def test_another_picture_gives_other_logits(model):
    images, ids = inputs()
    other = images.clone()
    other[0, 1] += 1
    before, after = model(images, ids), model(other, ids)
    assert not torch.allclose(before.logits[0], after.logits[0], atol=1e-3)
    assert not torch.allclose(before.label_logits[0], after.label_logits[0], atol=1e-3)
    close(before.logits[1], after.logits[1])


def test_an_absent_view_changes_nothing(model):
    images, ids = inputs()
    absent = torch.tensor([[True, False], [False, True]])
    other = images.clone()
    other[0, 1] = torch.nan
    other[1, 0] = 7.0
    kept, changed = model(images, ids, view_mask=absent), model(other, ids, view_mask=absent)
    assert torch.equal(kept.logits, changed.logits)
    assert torch.equal(kept.label_logits, changed.label_logits)
    assert kept.logits.isfinite().all()
    assert not torch.allclose(kept.logits, model(images, ids).logits, atol=1e-3)


def test_one_view_alone_is_as_with_the_other_absent(model):
    images, ids = inputs()
    frontal_only = torch.tensor([[True, False]]).expand(len(images), 2)
    masked = model(images, ids, view_mask=frontal_only)
    for given in (images[:, :1], images[:, 0]):
        alone = model(given, ids)
        torch.testing.assert_close(alone.logits, masked.logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.label_logits, masked.label_logits)


def test_an_absent_view_is_as_a_model_without_it(model):
    kind = model.config.language["model_type"]
    alone = RadiologyMultimodalModel(
        configuration(kind, views=("frontal",)), model.vision, model.language
    ).eval()
    alone.projector, alone.head = model.projector, model.head
    images, ids = inputs()
    only_frontal = torch.tensor([[True, False], [True, False]])
    output, expected = model(images, ids, view_mask=only_frontal), alone(images[:, :1], ids)
    close(output.logits, expected.logits)
    close(output.label_logits, expected.label_logits)
    close(alone(images[:, 0], ids).logits, expected.logits)  # (batch, 1, H, W) is one view


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(model, side):
    images, ids = inputs()
    mask = torch.ones_like(ids)
    hidden = slice(0, 4) if side == "left" else slice(5, 9)
    mask[1, hidden] = 0
    shown = slice(4, 9) if side == "left" else slice(0, 5)
    together = model(images, ids, mask)
    close(together.logits[1, shown], model(images[1:], ids[1:, shown]).logits[0])
    close(together.logits[0], model(images[:1], ids[:1]).logits[0])
    other = ids.clone()
    other[1, hidden] = 5
    assert torch.equal(model(images, other, mask).logits[1, shown], together.logits[1, shown])


def test_features_given_are_as_good_as_pictures(model):
    images, ids = inputs()
    features = model.encode(images)
    assert not features.requires_grad
    assert torch.equal(model(None, ids, vision_features=features).logits, model(images, ids).logits)


def test_three_channels_are_the_grey_plane_thrice():
    model = network(vision=vision_values(num_channels=3))
    images, ids = inputs()
    seen = model.vision(pixel_values=images[:, 0].repeat(1, 3, 1, 1)).last_hidden_state
    close(model.encode(images)[:, 0], seen)
    assert model(images, ids).logits.isfinite().all()


def test_from_parts_takes_over_a_classifier(tmp_path):
    from PIL import Image as Pillow

    from harness.pixels import read_pixels

    model = RadiologyMultimodalModel.from_parts(
        PHANTOM_VIT, language_values(), views=("frontal",), projector_hidden=8
    ).eval()
    path = tmp_path / "a.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (140, 130), dtype=np.uint8)).save(path)
    config = model.config
    grey = (read_pixels(path, config.image_size) - config.image_mean) / config.image_std
    images = torch.from_numpy(grey.astype(np.float32))[None, None]
    found = torch.sigmoid(model.detect(model.encode(images)))[0].tolist()
    expected = VitClassifier(PHANTOM_VIT).probabilities(path)
    assert found == pytest.approx([expected[finding] for finding in FINDINGS], abs=1e-5)
    stated = json.loads((PHANTOM_VIT / "thresholds.json").read_text())
    assert config.thresholds == stated


def test_from_parts_reads_hugging_face_directories(tmp_path):
    torch.manual_seed(0)
    values = {key: value for key, value in vision_values().items() if key != "model_type"}
    vit = ViTModel(ViTConfig(**values))
    writer = LlamaForCausalLM(LlamaConfig(**language_values()))
    vit.save_pretrained(tmp_path / "vit")
    writer.save_pretrained(tmp_path / "llama")
    model = RadiologyMultimodalModel.from_parts(tmp_path / "vit", tmp_path / "llama", projector_hidden=8)
    assert torch.equal(model.vision.layernorm.weight, vit.layernorm.weight)
    assert torch.equal(model.language.lm_head.weight, writer.lm_head.weight)
    assert model.config.language["hidden_size"] == 32
    assert "_name_or_path" not in model.config.language


def test_parts_that_do_not_fit_are_refused(tmp_path):
    values = {key: value for key, value in vision_values(hidden_size=24).items() if key != "model_type"}
    with pytest.raises(CandidateError, match=r"hidden_size is 24 and the configuration says 16"):
        RadiologyMultimodalModel(configuration(), vision=ViTModel(ViTConfig(**values)))
    with pytest.raises(CandidateError, match="vocab_size is 50"):
        RadiologyMultimodalModel(
            configuration(), language=LlamaForCausalLM(LlamaConfig(**language_values(vocab_size=50)))
        )
    with pytest.raises(CandidateError, match="image_size is 64, but the vision encoder takes 32"):
        configuration(image_size=64)
    with pytest.raises(CandidateError, match="no multiple"):
        configuration(vision=vision_values(patch_size=7))
    with pytest.raises(CandidateError, match="multiple of the number of attention heads"):
        RadiologyMultimodalModel(configuration(vision=vision_values(num_attention_heads=3)))
    with pytest.raises(CandidateError, match="no causal language model"):
        RadiologyMultimodalModel(configuration(language={"model_type": "vit"}))
    with pytest.raises(CandidateError, match="no such folder"):
        RadiologyMultimodalModel.from_parts(tmp_path / "nowhere", language_values())
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CandidateError, match="a ViT is needed"):
        RadiologyMultimodalModel.from_parts(tmp_path / "bert", language_values())
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "config.json").write_text(json.dumps(vision_values()))
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(CandidateError, match="pickle"):
        RadiologyMultimodalModel.from_parts(tmp_path / "pickle", language_values())


def test_shapes_that_do_not_fit_are_refused():
    model = network()
    images, ids = inputs()
    refused = [
        ({"images": images[..., :16]}, "pictures have shape"),
        ({"images": torch.cat([images, images], dim=1)}, "pictures have shape"),
        ({"images": None}, "neither images nor vision_features"),
        ({"images": images, "view_mask": torch.tensor([[True, True], [False, False]])}, "no view at all"),
        ({"images": images, "view_mask": torch.ones(2, 3)}, "view_mask has shape"),
        ({"images": images, "labels": ids[:, 1:]}, "labels have shape"),
        ({"images": images, "finding_labels": torch.zeros(2, 13)}, "finding_labels have shape"),
        ({"images": images, "finding_labels": torch.full((2, 14), 9)}, "State"),
        ({"images": None, "vision_features": torch.zeros(2, 1, 3, 16)}, "vision_features have shape"),
    ]
    for arguments, message in refused:
        with pytest.raises(CandidateError, match=message):
            model(input_ids=ids, **arguments)
