import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from harness.candidates import open_candidate
from harness.candidates.multimodal.candidate import MultimodalCandidate
from harness.candidates.multimodal.generation import Generated
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.timing import PHASES, Stopwatch
from harness.engines.local import run_local
from harness.errors import CandidateError, CohortError, GenerationError
from harness.outcome import Status
from harness.report import FINDINGS, Finding, Report
from harness.study import Image, Study, View
from harness.testing import check_candidate
from tiny_multimodal import network

TEXT = (
    "Findings: There is a moderate right pneumothorax.\n"
    "Impression: 1. Right pneumothorax. Recommend follow-up."
)


@pytest.fixture
def written(monkeypatch, tokenizer):
    """Makes the model write a text, since random weights write none that means anything."""

    def write(text=TEXT, finished=True):
        answer = Generated(tuple(tokenizer(text)["input_ids"]), -1.0, finished)
        monkeypatch.setattr(RadiologyMultimodalModel, "generate", lambda self, *_, **__: [answer])

    return write


def prepared(checkpoint, **options):
    candidate = MultimodalCandidate(checkpoint, **options)
    candidate.prepare()
    return candidate


def head_sees(candidate, **logits):
    """Sets the head to fixed logits, finding by finding; -9 where none is given."""
    model, _ = candidate._loaded
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(-9.0)
        for name, logit in logits.items():
            model.head.bias[FINDINGS.index(Finding(name.replace("_", " ")))] = logit


def test_several_at_once_are_the_same_reports(checkpoint, make_study):
    candidate = prepared(checkpoint)
    studies = [
        make_study(View.PA),
        make_study(View.AP, View.LATERAL, seed=1),
        make_study(View.LATERAL, seed=2),
        make_study(View.PA, seed=3),
    ]
    together = candidate.reports(studies)
    for study, found in zip(studies, together, strict=True):
        alone = candidate.report(study)
        took = {"processing_time_ms": found.processing_time_ms}
        for one, other in zip(found.findings, alone.findings, strict=True):
            assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        took["findings"] = found.findings
        assert alone.model_copy(update=took) == found


def test_another_template_shares_the_weights(checkpoint):
    candidate = prepared(checkpoint)
    other = candidate.with_template("brief-impression")
    assert other._loaded is candidate._loaded
    assert (other.instruction.template, candidate.instruction.template) == ("brief-impression", "standard")
    assert set(candidate.templates) == {"standard", "by-region", "brief-impression"}
    with pytest.raises(CandidateError, match="no template"):
        candidate.with_template("nonsense")


def test_nothing_is_wrong_with_it(checkpoint, make_study):
    studies = [
        make_study(View.PA),
        make_study(View.AP, View.LATERAL, seed=1),
        make_study(View.LATERAL, seed=2),
    ]
    assert check_candidate(MultimodalCandidate(checkpoint), studies) == []


def test_opened_by_name_with_options(checkpoint):
    candidate = open_candidate(f"multimodal:{checkpoint}?beams=2&template=brief-impression&device=cpu")
    assert isinstance(candidate, MultimodalCandidate)
    assert (candidate.beams, candidate.instruction.template) == (2, "brief-impression")


def test_opening_imports_no_torch():
    code = (
        "import sys\nfrom harness.candidates import open_candidate\n"
        "open_candidate('multimodal:nowhere')\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_text_head_and_map_become_a_report(checkpoint, make_study, written):
    written()
    candidate = prepared(checkpoint)
    with torch.no_grad():  # the head that finds a pneumothorax in everything, by its picture
        candidate._loaded[0].head.bias[FINDINGS.index(Finding.PNEUMOTHORAX)] = 50.0
        for other in set(FINDINGS) - {Finding.PNEUMOTHORAX}:
            candidate._loaded[0].head.bias[FINDINGS.index(other)] = -50.0
    report = candidate.report(make_study(View.PA))
    (item,) = report.findings
    assert item.finding is Finding.PNEUMOTHORAX
    assert (item.severity, item.laterality, item.is_critical) == ("moderate", "right", True)
    assert item.confidence > 0.99
    x0, y0, x1, y1 = item.bounding_box
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert report.findings_text == "There is a moderate right pneumothorax."
    assert report.impression == "1. Right pneumothorax. Recommend follow-up."
    assert report.recommendations == "Recommend follow-up."
    assert not report.requires_radiologist_review
    assert report.review_reason == ""
    assert report.model_version.startswith("checkpoint-")


def test_no_box_where_the_first_picture_is_not_looked_at(checkpoint, make_study, written):
    written()
    candidate = prepared(checkpoint)
    study = make_study(View.OTHER, View.PA)
    assert all(item.bounding_box is None for item in candidate.report(study).findings)
    assert candidate.explain(study).picture == study.images[1].path


def test_cut_texts_and_indications_are_sent_to_review(checkpoint, make_study, written):
    written(finished=False)
    candidate = prepared(checkpoint)
    head_sees(candidate, Pneumothorax=9.0)
    report = candidate.report(make_study(View.PA, indication="cough " * 200))
    assert report.requires_radiologist_review
    assert "longest length" in report.review_reason
    assert "indication" in report.review_reason
    assert "cough" not in report.review_reason


def test_the_picture_decides_the_text(checkpoint, make_study):
    candidate = prepared(checkpoint)
    texts = {candidate.report(make_study(View.PA, seed=seed)).text for seed in range(6)}
    assert len(texts) > 1


def test_another_instruction_another_text_same_weights(checkpoint, make_study):
    study = make_study(View.PA)
    plain = prepared(checkpoint)
    asked = prepared(checkpoint, question="Is there a pneumothorax?")
    assert plain.report(study).text != asked.report(study).text
    assert plain.report(study).model_version == asked.report(study).model_version


def test_digest_depends_on_weights_and_options_not_on_the_card(checkpoint, tokenizer, tmp_path):
    base = MultimodalCandidate(checkpoint).digest()
    options = [
        {"beams": 2},
        {"template": "by-region"},
        {"detail": "brief"},
        {"question": "Why?"},
        {"device": "cpu"},
    ]
    digests = {MultimodalCandidate(checkpoint, **option).digest() for option in options}
    assert len(digests | {base}) == len(options) + 1
    (checkpoint / "README.md").write_text("Another card.")
    assert MultimodalCandidate(checkpoint).digest() == base
    network(seed=1).save_pretrained(tmp_path / "other", tokenizer)
    assert MultimodalCandidate(tmp_path / "other").digest() != base
    vocabulary = checkpoint / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"!"', '"¡"', 1))
    assert MultimodalCandidate(checkpoint).digest() != base


def test_the_loaded_model_stays_behind_when_it_is_sent_to_a_worker(checkpoint):
    candidate = prepared(checkpoint)
    assert len(pickle.dumps(candidate)) < 2000
    sent = pickle.loads(pickle.dumps(candidate))  # noqa: S301 - our own bytes
    assert sent.digest() == candidate.digest()


def test_in_worker_processes_one_bad_study_fails_alone_and_answers_are_the_same(
    checkpoint, make_study, tmp_path
):
    good = [make_study(View.PA, seed=seed) for seed in range(3)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(good[0].images[0].path.read_bytes()[:400])
    studies = [*good, Study("bad", (Image(broken, View.PA),)), Study("none", ())]
    found = {o.study_id: o for o in run_local(MultimodalCandidate(checkpoint), studies)}
    assert found["bad"].status is Status.RAISED
    assert found["none"].status is Status.MISSING
    here = prepared(checkpoint)
    for study in good:
        assert found[study.study_id].report.text == here.report(study).text


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_out_of_memory_on_one_study_fails_that_study(checkpoint, make_study, monkeypatch, error):
    candidate = prepared(checkpoint)
    model, _ = candidate._loaded
    encode = model.encode

    def fails(images):
        raise error

    monkeypatch.setattr(model, "encode", fails)
    with pytest.raises(GenerationError, match="out of memory"):
        candidate.report(make_study(View.PA))
    monkeypatch.setattr(model, "encode", encode)
    assert candidate.report(make_study(View.PA)).text


def test_other_errors_are_not_taken_for_want_of_memory(checkpoint, make_study, monkeypatch):
    candidate = prepared(checkpoint)
    monkeypatch.setattr(candidate._loaded[0], "encode", lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        candidate.report(make_study(View.PA))


@pytest.mark.parametrize("part", ["head", "projector", "language"])
def test_nan_fails_the_study(checkpoint, make_study, part):
    candidate = prepared(checkpoint)
    with torch.no_grad():
        for weight in getattr(candidate._loaded[0], part).parameters():
            weight.fill_(torch.nan)
    with pytest.raises(GenerationError, match="NaN"):
        candidate.report(make_study(View.PA))


def test_no_words_fail_the_study(checkpoint, make_study, written):
    written("Impression:")
    with pytest.raises(GenerationError, match="no words"):
        prepared(checkpoint).report(make_study(View.PA))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beams": "many"}, "whole number"),
        ({"beams": 0}, "1 or more"),
        ({"template": "haiku"}, "no template 'haiku'; there is standard"),
        ({"detail": "some"}, "no detail"),
        ({"question": "  "}, "question is empty"),
        ({"question": "Why?", "template": "by-region"}, "takes no template"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(CandidateError, match=message):
        MultimodalCandidate(Path("anywhere"), **options)


def test_a_device_that_is_not_there(checkpoint):
    with pytest.raises(CandidateError, match="device cuda:7"):
        prepared(checkpoint, device="cuda:7")
    with pytest.raises(CandidateError, match="device toaster"):
        prepared(checkpoint, device="toaster")


def test_pictures_of_every_kind(checkpoint, tmp_path):
    candidate = prepared(checkpoint)
    values = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    deep = values.astype(np.uint16) * 257
    for name, array in {
        "grey.png": values,
        "deep.png": deep,
        "colour.png": np.stack([values] * 3, axis=-1),
        "grey.tiff": values,
    }.items():
        Pillow.fromarray(array).save(tmp_path / name)
    texts = {
        candidate.report(Study("s", (Image(tmp_path / name, View.PA),))).text
        for name in ("grey.png", "deep.png", "colour.png", "grey.tiff")
    }
    assert len(texts) == 1  # the same picture each time
    Pillow.fromarray(np.full((48, 48), np.nan, dtype=np.float32)).save(tmp_path / "nan.tiff")
    Pillow.fromarray(values[:1, :1]).save(tmp_path / "dot.png")
    for name, message in (("nan.tiff", "NaN"), ("dot.png", "1 x 1")):
        with pytest.raises(CohortError, match=message):
            candidate.report(Study("s", (Image(tmp_path / name, View.PA),)))


def test_a_report_can_be_read_back(checkpoint, make_study):
    report = prepared(checkpoint).report(make_study(View.PA))
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_it_tells_its_phases_and_tokens(checkpoint, make_study, monkeypatch, tokenizer):
    candidate = prepared(checkpoint)
    model, processor = candidate._loaded
    head_sees(candidate, Pneumothorax=9.0)
    text = TEXT
    monkeypatch.setattr(processor.__class__, "decode", lambda self, tokens: text)  # random weights write none
    with Stopwatch().running() as watch:
        candidate.report(make_study(View.PA))
    told = watch.account()
    assert set(told["phases_s"]) == set(PHASES)
    assert all(seconds > 0 for seconds in told["phases_s"].values())
    assert told["tokens"]["read"] > model.config.grid**2
    assert 1 <= told["tokens"]["written"] <= model.config.max_new_tokens


def test_its_size_is_that_of_its_weights(checkpoint):
    candidate = prepared(checkpoint, beams=3)
    model, _ = candidate._loaded
    found = candidate.size()
    counted = sum(p.numel() for part in (model.vision, model.projector) for p in part.parameters())
    assert found.encoder_parameters == counted
    language = sum(p.numel() for p in model.language.parameters())
    embeddings = model.causal_lm.get_input_embeddings().weight
    tied = embeddings is model.causal_lm.get_output_embeddings().weight
    assert found.language_parameters == language - (0 if tied else embeddings.numel())
    assert found.encoder_tokens == 2 * (1 + model.config.grid**2)
    assert (found.bytes_per_parameter, found.beams) == (4, 3)
