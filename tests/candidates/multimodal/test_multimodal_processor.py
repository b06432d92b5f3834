import numpy as np
import pytest
import torch

from harness.candidates.multimodal.config import IGNORED
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.prompts import CUT, Instruction
from harness.errors import CandidateError, CohortError
from harness.pixels import read_pixels
from harness.study import Image, Study, View
from tiny_multimodal import SIZE, configuration, language_values


@pytest.fixture
def processor(tokenizer):
    return MultimodalProcessor(configuration(image_mean=0.4, image_std=0.2), tokenizer)


def test_the_first_frontal_and_the_first_lateral_enter(processor, make_study):
    study = make_study(View.OTHER, View.LATERAL, View.AP, View.PA, View.LATERAL)
    images, there = processor.images(study)
    assert images.shape == (2, 1, SIZE, SIZE)
    assert images.dtype == torch.float32
    assert there.tolist() == [True, True]
    for place, number in enumerate((2, 1)):
        grey = read_pixels(study.images[number].path, SIZE)
        np.testing.assert_allclose(images[place, 0], (grey - 0.4) / 0.2, rtol=1e-5, atol=1e-6)


def test_absent_views_are_zero_and_said_to_be_absent(processor, make_study):
    images, there = processor.images(make_study(View.LATERAL))
    assert there.tolist() == [False, True]
    assert images[0].abs().max() == 0
    assert "Views: lateral." in processor.prompt(make_study(View.LATERAL))


def test_a_study_without_a_view(processor, make_study, tokenizer):
    for study in (make_study(), make_study(View.OTHER)):
        with pytest.raises(CandidateError, match="needs a frontal or lateral view"):
            processor.images(study)
    frontal = MultimodalProcessor(configuration(views=["frontal"]), tokenizer)
    with pytest.raises(CandidateError, match="needs a frontal view"):
        frontal.prompt(make_study(View.LATERAL))


def test_a_picture_that_is_not_there(processor, tmp_path):
    with pytest.raises(CohortError, match="no such picture"):
        processor.images(Study("s", (Image(tmp_path / "gone.png", View.PA),)))


def test_ids_labels_and_padding(processor):
    prompts, reports = (
        ["Write the report. Report:", "Report:"],
        ["Findings: No.", "Findings: There is a mass."],
    )
    alone = [processor.ids(prompt) for prompt in prompts]
    told = [processor.ids(report) for report in reports]
    encoded = processor.encode(prompts, reports)
    assert encoded.truncated == (False, False)
    for row in range(2):
        whole = [1, *alone[row], *told[row], 2]
        length = len(whole)
        assert encoded.input_ids[row, :length].tolist() == whole
        assert encoded.attention_mask[row].tolist() == [1] * length + [0] * (
            encoded.input_ids.shape[1] - length
        )
        labels = encoded.labels[row].tolist()
        start = 1 + len(alone[row])
        assert labels[:start] == [IGNORED] * start
        assert labels[start:length] == [*told[row], 2]
        assert set(labels[length:]) <= {IGNORED}
    asked = processor.encode(prompts)
    assert asked.labels is None
    for row in range(2):
        own = [1, *alone[row]]
        assert asked.input_ids[row, -len(own) :].tolist() == own
        assert asked.attention_mask[row].sum() == len(own)
        assert asked.attention_mask[row, -1] == 1


def test_words_that_look_like_special_tokens_are_words(processor):
    assert {1, 2}.isdisjoint(processor.ids("Cough </s> and <s> fever"))
    assert processor.decode(processor.ids("a </s> b")) == "a </s> b"


def test_a_long_report_is_cut_and_said_to_be(processor):
    encoded = processor.encode(["Report:", "Report:"], ["heart " * 300, "heart"])
    assert encoded.truncated == (True, False)
    assert encoded.input_ids.shape[1] == processor.context - processor.config.prefix_length
    assert encoded.labels[0, -1] != 2


def test_a_long_indication_gives_way_to_the_instruction(processor, make_study):
    study = make_study(View.PA, indication="cough and fever since last week " * 60)
    prompt = processor.prompt(study)
    assert prompt.endswith("Write the report.\nReport:")
    assert f"week {CUT}" in prompt or CUT in prompt
    assert "Patient: 63-year-old woman." in prompt
    used = len(processor.ids(prompt))
    free = processor.context - processor.config.prefix_length - processor.config.max_new_tokens
    assert free - 12 < used <= free  # as many words as fit
    assert processor.encode([prompt]).input_ids.shape[1] < processor.context
    assert CUT not in processor.prompt(make_study(View.PA))


def test_what_cannot_fit_is_refused(processor, make_study):
    with pytest.raises(CandidateError, match="shorten the question"):
        processor.prompt(make_study(View.PA), Instruction(question="Why? " * 200))
    with pytest.raises(CandidateError, match=r"prompt 0 has \d+ tokens and \d+ are free"):
        processor.encode(["heart " * 300])


@pytest.mark.parametrize(
    ("prompts", "reports", "message"),
    [
        ([" "], None, "prompt 0 is empty"),
        (["Report:", ""], None, "prompt 1 is empty"),
        ([], None, "no prompt"),
        (["Report:"], ["\n"], "report 0 is empty"),
    ],
)
def test_empty_texts_are_refused(processor, prompts, reports, message):
    with pytest.raises(CandidateError, match=message):
        processor.encode(prompts, reports)


def test_pictures_that_fill_the_whole_context(tokenizer):
    with pytest.raises(
        CandidateError, match="pictures need 32 tokens and the language model has 33 positions"
    ):
        MultimodalProcessor(configuration(language=language_values(max_position_embeddings=33)), tokenizer)


def test_a_tokenizer_that_cannot_end_a_text(tokenizer):
    from transformers import PreTrainedTokenizerFast

    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(CandidateError, match="no eos_token"):
        MultimodalProcessor(configuration(), endless)
