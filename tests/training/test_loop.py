import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import LANGUAGE as LANGUAGE_MODEL
from small_training import Desk, recipe

from harness.errors import TrainingError
from harness.training import loop
from harness.training.history import History
from harness.training.loop import JOINT, LANGUAGE, PROJECTOR, train_only, train_two_stage
from harness.training.state import learnt


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one, other):
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def rows(history: History):
    return [repr(epoch) for epoch in history.epochs]  # repr: NaN is equal to itself


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """The library keeps its precision for the whole process; each training here has its own."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def undisturbed(small_root, vit, tmp_path_factory):
    desk = Desk(small_root, vit)
    before = weights(desk.model)
    folder = tmp_path_factory.mktemp("undisturbed")
    history = train_two_stage(*desk.parts, folder=folder)
    return before, desk, history, folder


# What a stage trains


@pytest.mark.parametrize(
    ("stage", "parts"),
    [(LANGUAGE, {"language"}), (PROJECTOR, {"projector"}), (JOINT, {"projector", "language", "head"})],
)
def test_the_gradient_reaches_what_a_stage_trains_and_nothing_else(desk, stage, parts):
    work = desk()
    train_only(work.model, stage)
    module = loop.TextOnly(work.model) if stage == LANGUAGE else loop.WithPictures(work.model, stage == JOINT)
    batch = work.train.batch(range(4))
    module(batch).loss.backward()
    reached = {
        name.partition(".")[0]
        for name, value in work.model.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    }
    assert reached == parts
    assert {name.partition(".")[0] for name, _ in work.model.trainable()} == parts


def test_after_the_whole_training_all_but_the_encoder_has_changed(undisturbed):
    before, desk, _, _ = undisturbed
    after = weights(desk.model)
    for name in before:
        if name.startswith("vision."):
            assert torch.equal(before[name], after[name]), name
    for part in ("projector.first.weight", "projector.second.bias", "head.weight", "head.bias"):
        assert not torch.equal(before[part], after[part]), part


def test_stage_1_leaves_language_model_and_head_as_they_are(desk, tmp_path, monkeypatch):
    seen = {}
    original = loop._Training._stage

    def watched(self, stage, part, extra):
        seen[stage] = weights(self.model)
        original(self, stage, part, extra)

    monkeypatch.setattr(loop._Training, "_stage", watched)
    train_two_stage(*desk().parts, folder=tmp_path)
    changed = {name for name in seen[PROJECTOR] if not torch.equal(seen[PROJECTOR][name], seen[JOINT][name])}
    assert changed
    assert all(name.startswith("projector.") for name in changed)
    text = {name for name in seen[PROJECTOR] if not torch.equal(seen[LANGUAGE][name], seen[PROJECTOR][name])}
    assert text
    assert all(name.startswith("language.") for name in text)


def test_with_adapters_only_these_of_the_language_model_are_trained(small_root, vit):
    pytest.importorskip("peft")
    settings = {**recipe(vit).model.settings, "lora": {"r": 2, "target_modules": ("q_proj",)}}
    work = Desk(small_root, vit, model={"vision": str(vit), "language": LANGUAGE_MODEL, "settings": settings})
    train_only(work.model, JOINT)
    names = [name for name, _ in work.model.trainable()]
    assert all("lora_" in name for name in names if name.startswith("language."))
    assert any("lora_" in name for name in names)
    assert set(names) == set(learnt(work.model))


def test_training_learns(undisturbed):
    _, _, history, _ = undisturbed
    joint = history.of_stage(JOINT)
    assert [len(history.of_stage(stage)) for stage in range(3)] == [1, 1, 2]
    assert joint[-1].validation_report_loss < history.of_stage(LANGUAGE)[0].train_report_loss
    assert joint[-1].train_report_loss < joint[0].train_report_loss
    assert history.kept in (1, 2)


# Accumulation and processes


def test_accumulated_micro_batches_give_the_gradient_of_one_batch(desk):
    work = desk()
    train_only(work.model, JOINT)
    module = loop.WithPictures(work.model, detection=True)
    indices = np.arange(12)
    module(work.train.batch(indices)).loss.backward()
    whole = {name: value.grad.clone() for name, value in work.model.trainable()}
    work.model.zero_grad()
    parts = [work.train.batch(part) for part in (indices[:5], indices[5:6], indices[6:])]
    outputs = [module(part) for part in parts]
    tokens = sum(output.report_tokens for output in outputs)
    labels = sum(output.detection_labels for output in outputs)
    for output in outputs:
        work.model.share_of_loss(output, tokens, labels, 3).backward()
    for name, value in work.model.trainable():
        torch.testing.assert_close(value.grad, whole[name], rtol=1e-4, atol=1e-7)


def optimiser(**changes):
    return {"batch": 8, "precision": "float32", "weight_decay": 0.01, **changes}


@pytest.mark.slow
def test_a_step_is_the_same_for_any_split_into_micro_batches(desk, tmp_path, monkeypatch):
    """8 studies as one batch, or as four micro-batches of 2 of the same studies."""
    found = []
    for number, (batch, accumulate) in enumerate([(8, 1), (2, 4)]):
        work = desk(optimiser=optimiser(batch=batch, accumulate=accumulate))
        order = np.arange(16).reshape(2, accumulate, batch)
        monkeypatch.setattr(loop.Sampler, "steps", 2)
        monkeypatch.setattr(loop.Sampler, "epoch", lambda self, stage, epoch, o=order: [list(s) for s in o])
        history = train_two_stage(*work.parts, folder=tmp_path / str(number))
        found.append([(e.train_loss, e.validation_loss, e.gradient_norm) for e in history.epochs])
    np.testing.assert_allclose(found[0], found[1], rtol=2e-4)


# Going on after a kill


class Killed(BaseException):
    """As a kill: nothing of the training's own sees it coming."""


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 7, 12, 22, 33])
def test_a_killed_and_resumed_training_equals_the_undisturbed_bit_for_bit(
    desk, undisturbed, tmp_path, monkeypatch, after
):
    _, whole, history, _ = undisturbed
    original, done = loop._Training._step, []

    def dying(self, *arguments):
        original(self, *arguments)
        done.append(1)
        if len(done) == after:
            raise Killed

    monkeypatch.setattr(loop._Training, "_step", dying)
    with pytest.raises(Killed):
        train_two_stage(*desk().parts, folder=tmp_path)
    monkeypatch.setattr(loop._Training, "_step", original)
    work = desk()
    said = []
    resumed = train_two_stage(*work.parts, folder=tmp_path, say=said.append)
    assert rows(resumed) == rows(history)
    assert resumed.kept == history.kept
    assert same(weights(work.model), weights(whole.model))
    assert work.model.config == whole.model.config
    if after >= 3:
        assert said[0].startswith("going on from")


def test_after_kill_9_in_another_process_too(small_root, vit, desk, undisturbed, tmp_path):
    _, whole, history, _ = undisturbed
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here)!r}]\n"
        "from pathlib import Path\nfrom small_training import Desk\n"
        "from harness.training.loop import train_two_stage\n"
        f"train_two_stage(*Desk(Path({str(small_root)!r}), Path({str(vit)!r})).parts, "
        f"folder=Path({str(tmp_path)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (tmp_path / loop.STATE).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    work = desk()
    resumed = train_two_stage(*work.parts, folder=tmp_path)
    assert rows(resumed) == rows(history)
    assert same(weights(work.model), weights(whole.model))


def test_a_finished_training_is_only_read(desk, undisturbed, monkeypatch):
    _, whole, history, folder = undisturbed
    monkeypatch.setattr(loop._Training, "_step", None)
    work = desk()
    assert rows(train_two_stage(*work.parts, folder=folder)) == rows(history)
    assert same(weights(work.model), weights(whole.model))


def test_another_recipes_state_is_refused(desk, undisturbed):
    _, _, _, folder = undisturbed
    with pytest.raises(TrainingError, match=r"another configuration or other studies.*name another --out"):
        train_two_stage(*desk(seed=6).parts, folder=folder)


def test_a_damaged_state_is_refused(desk, tmp_path):
    (tmp_path / loop.STATE).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(TrainingError, match=r"damaged.*remove it to begin again"):
        train_two_stage(*desk().parts, folder=tmp_path)


# What goes wrong


def test_a_loss_that_is_not_finite_ends_in_an_error_and_loses_nothing(desk, tmp_path, monkeypatch):
    work = desk()
    original, done = loop._Training._step, []

    def poisoned(self, *arguments):
        done.append(1)
        if len(done) == 8:
            with torch.no_grad():
                self.model.causal_lm.get_input_embeddings().weight.fill_(float("nan"))
        original(self, *arguments)

    monkeypatch.setattr(loop._Training, "_step", poisoned)
    with pytest.raises(TrainingError, match=r"is not finite: lower that stage's learning_rate"):
        train_two_stage(*work.parts, folder=tmp_path)
    values = torch.load(tmp_path / loop.STATE, weights_only=True)
    assert all(bool(value.isfinite().all()) for value in values["weights"].values())
    monkeypatch.setattr(loop._Training, "_step", original)
    assert train_two_stage(*desk().parts, folder=tmp_path).kept


def test_a_folder_that_cannot_be_written_is_said(desk, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="name another --out"):
        train_two_stage(*desk().parts, folder=tmp_path / "file" / "run")


def test_a_gpus_precision_is_refused_without_one():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        loop.new_accelerator("fp16")


@pytest.mark.slow
def test_mixed_precision_trains(desk, tmp_path):
    history = train_two_stage(*desk(optimiser=optimiser(precision="bf16")).parts, folder=tmp_path)
    assert history.kept
    assert history.epochs[-1].train_report_loss < history.epochs[0].train_report_loss
