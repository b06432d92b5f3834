import numpy as np
import pytest
import torch

from harness.candidates.onnx.model import OnnxModel, largest, log_probabilities
from harness.errors import CandidateError, GenerationError
from tiny_package import make_checkpoint, make_package

VIEWS = {"both": [True, True], "frontal": [True, False], "lateral": [False, True]}


def inputs(views=2, text=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(views, 1, 32, 32, generator=generator)
    return images, torch.randint(3, 300, (1, text), generator=generator)


@pytest.fixture(scope="module")
def exported(tiny_package):
    return OnnxModel(tiny_package)


@pytest.mark.parametrize("there", VIEWS.values(), ids=VIEWS)
def test_fp32_equals_torch_with_and_without_a_view(tiny_checkpoint, exported, there):
    images, ids = inputs()
    mask = torch.tensor(there)
    with torch.no_grad():
        wanted = tiny_checkpoint[1](images[None], ids, view_mask=mask[None])
    tokens, counted, findings = exported.encode(images.numpy(), mask.numpy())
    logits = exported.logits(tokens, counted, ids.numpy())
    assert np.abs(logits - wanted.logits.numpy()).max() < 1e-4
    assert np.abs(findings - wanted.label_logits[0].numpy()).max() < 1e-4
    apart = 1 / (1 + np.exp(-findings)) - torch.sigmoid(wanted.label_logits[0]).numpy()
    assert np.abs(apart).max() < 1e-4
    assert counted.sum() == 16 * sum(there)


@pytest.mark.parametrize("kind", ["llama", "biogpt"])
@pytest.mark.parametrize("views", [("frontal",), ("frontal", "lateral")])
def test_fp32_writes_the_same_tokens(tmp_path, kind, views):
    model = make_checkpoint(tmp_path / "tiny", kind, views=views)
    make_package(model, tmp_path / "tiny", tmp_path / "package")
    exported = OnnxModel(tmp_path / "package")
    for seed in range(4):
        images, ids = inputs(len(views), 20 + seed, seed)
        mask = torch.tensor([True, seed % 2 == 0][: len(views)])
        [wanted] = model.generate(images[None], ids, view_mask=mask[None])
        tokens, counted, _ = exported.encode(images.numpy(), mask.numpy())
        given = exported.generate(tokens, counted, ids.numpy())
        assert given.tokens == wanted.tokens
        assert given.finished == wanted.finished
        assert given.score == pytest.approx(wanted.score, abs=1e-5)
        [greedy] = model.generate(images[None], ids, view_mask=mask[None], beams=1)
        assert exported.generate(tokens, counted, ids.numpy(), beams=1).tokens == greedy.tokens


def test_one_token_on_the_cache_equals_the_whole_text(exported):
    images, ids = inputs()
    there = np.array([True, False])
    tokens, counted, _ = exported.encode(images.numpy(), there)
    whole = exported.logits(tokens, counted, ids.numpy())
    logits, cache = exported._read(tokens, counted, ids.numpy()[:, :30])
    assert np.abs(logits - whole[:, :30]).max() < 1e-5
    mask = np.concatenate([counted[0].astype(np.int64), np.ones(30, dtype=np.int64)])
    for place in range(30, 40):
        mask = np.append(mask, 1)
        logits, cache = exported._step(ids.numpy()[0, place : place + 1], mask, cache)
        assert np.abs(logits[0, 0] - whole[0, place]).max() < 1e-5


def test_the_absent_view_counts_for_nothing(exported):
    images, ids = inputs()
    other = images.clone()
    other[1] = 7.0
    there = np.array([True, False])
    one, two = (exported.encode(each.numpy(), there) for each in (images, other))
    assert np.array_equal(one[2], two[2])
    assert np.array_equal(exported.logits(*one[:2], ids.numpy()), exported.logits(*two[:2], ids.numpy()))


def test_int8_and_fp16_stay_close(tiny_checkpoint, tmp_path):
    folder, model = tiny_checkpoint
    manifest = make_package(model, folder, tmp_path / "package", language="int8")
    images, ids = inputs()
    mask = torch.tensor([True, True])
    with torch.no_grad():
        wanted = model(images[None], ids, view_mask=mask[None])
    for precision in ("fp32", "fp16"):
        exported = OnnxModel(tmp_path / "package", vision=precision)
        assert exported.graph.precision == precision
        tokens, counted, findings = exported.encode(images.numpy(), mask.numpy())
        assert np.abs(findings - wanted.label_logits[0].numpy()).max() < 2e-2
        apart = np.abs(exported.logits(tokens, counted, ids.numpy()) - wanted.logits.numpy())
        # The weights of the tiny model spread so wide that its logits do, to 7 and more.
        assert 0 < apart.mean() < 0.25
    assert manifest.language.precision == "int8"
    assert (tmp_path / "package" / "language.onnx").is_file()
    assert not (tmp_path / "package" / "language.fp32.onnx").exists()


def test_no_position_left(exported):
    images, _ = inputs()
    tokens, counted, _ = exported.encode(images.numpy(), np.array([True, True]))
    ids = np.full((1, 256 - 32), 5)
    with pytest.raises(CandidateError, match="need 256 of 256 positions"):
        exported.generate(tokens, counted, ids)


def test_nan_is_no_text():
    with pytest.raises(GenerationError, match="NaN"):
        log_probabilities(np.array([[0.0, np.nan]], dtype=np.float32))


def test_log_probabilities_and_largest():
    logits = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    wanted = torch.from_numpy(logits).log_softmax(dim=-1).numpy()
    assert np.abs(log_probabilities(logits) - wanted).max() < 1e-6
    values, places = largest(np.array([1, 3, 3, 2, 3], dtype=np.float32), 4)
    assert places.tolist() == [1, 2, 4, 3]
    assert values.tolist() == [3, 3, 3, 2]


def test_a_vision_precision_that_is_not_there(tiny_checkpoint, tmp_path):
    folder, model = tiny_checkpoint
    make_package(model, folder, tmp_path / "package", vision="fp16")
    with pytest.raises(CandidateError, match="no fp32 vision graph; it has fp16"):
        OnnxModel(tmp_path / "package", vision="fp32")
    # On a processor FP16 is run where there is nothing else.
    assert OnnxModel(tmp_path / "package").graph.precision == "fp16"
