import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from harness.candidates.multimodal.decoders import AnyDecoder, LlamaDecoder, decoder_for
from harness.candidates.multimodal.generation import BeamSearch, beam_search
from harness.errors import CandidateError, GenerationError
from tiny_multimodal import SIZE, TOKENS, network

EOS, PAD, WORDS = 2, 0, 12
SETTINGS = ((1.0, False), (0.5, True), (2.0, False), (0.0, False))


def writer(kind, seed, **changes):
    """A language model of double precision, in which no two answers come near to a tie."""
    torch.manual_seed(seed)
    values = {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": WORDS,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
        "initializer_range": 0.25,
        **({"num_key_value_heads": 2} if kind == "llama" else {}),
        **changes,
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values)).eval().double()
    model.requires_grad_(False)
    return model


def prompts(seed, batch=3, length=9):
    """Embeddings with padding on the left, as absent views, and none."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(batch, length, 48, dtype=torch.float64, generator=generator)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[1, :3] = 0
    mask[2, 2:5] = 0
    return embeddings, mask, (mask.cumsum(1) - 1).clamp(min=0)


def transformers_answer(model, embeddings, mask, search):
    settings = GenerationConfig(
        num_beams=search.beams,
        do_sample=False,
        max_new_tokens=search.max_new_tokens,
        length_penalty=search.length_penalty,
        early_stopping=search.early_stopping,
        pad_token_id=PAD,
        eos_token_id=model.config.eos_token_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = model.generate(inputs_embeds=embeddings, attention_mask=mask, generation_config=settings)
    stops = model.config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    texts = []
    for row in found.sequences.tolist():
        end = next((place for place, token in enumerate(row) if token in stops), len(row))
        texts.append(tuple(row[:end]))
    return texts, None if search.beams == 1 else found.sequences_scores.tolist()


@pytest.mark.parametrize("kind", ["llama", "biogpt"])
@pytest.mark.parametrize("beams", [1, 2, 4])
def test_the_same_tokens_as_transformers(kind, beams):
    ended = 0
    for seed in range(6):
        model = writer(kind, seed)
        embeddings, mask, positions = prompts(seed)
        for penalty, early in SETTINGS if beams > 1 else SETTINGS[:1]:
            search = BeamSearch(beams, 20, penalty, early)
            texts, scores = transformers_answer(model, embeddings, mask, search)
            found = beam_search(model, embeddings, mask, positions, search)
            assert [answer.tokens for answer in found] == texts
            if scores is not None:
                assert [answer.score for answer in found] == pytest.approx(scores, rel=1e-4)
            ended += sum(answer.finished for answer in found)
    assert ended > 0  # texts that end by themselves are among them


@pytest.mark.parametrize("kind", ["llama", "biogpt"])
def test_several_tokens_may_end_a_text(kind):
    for seed in range(4):
        model = writer(kind, seed, eos_token_id=[EOS, 7])
        embeddings, mask, positions = prompts(seed)
        search = BeamSearch(3, 20)
        texts, _ = transformers_answer(model, embeddings, mask, search)
        assert [a.tokens for a in beam_search(model, embeddings, mask, positions, search)] == texts


@pytest.mark.parametrize("beams", [1, 4])
def test_lean_steps_are_the_models_own(beams):
    """`LlamaDecoder` gives the logits that the model gives for the whole text at once."""
    model = writer("llama", 5)
    embeddings, mask, positions = prompts(5)
    lean, plain = LlamaDecoder(model, beams, 6), AnyDecoder(model, beams)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(
        lean.begin(embeddings, mask, positions),
        plain.begin(embeddings, mask, positions),
        rtol=1e-5,
        atol=1e-5,
    )
    texts = [[] for _ in range(3 * beams)]
    for step in range(6):
        rows = [
            beams * (row // beams) + int(torch.randint(0, beams, (1,), generator=generator)) * (step > 0)
            for row in range(3 * beams)
        ]
        tokens = torch.randint(3, WORDS, (3 * beams,), generator=generator).tolist()
        texts = [[*texts[row], token] for row, token in zip(rows, tokens, strict=True)]
        found = lean.step(tokens, rows)
        torch.testing.assert_close(found, plain.step(tokens, rows), rtol=1e-5, atol=1e-5)
    whole_mask = torch.cat(
        [mask.repeat_interleave(beams, 0), torch.ones(3 * beams, 6, dtype=torch.long)], dim=1
    )
    words = model.get_input_embeddings()(torch.tensor(texts))
    output = model(
        inputs_embeds=torch.cat([embeddings.repeat_interleave(beams, 0), words], dim=1),
        attention_mask=whole_mask,
        position_ids=(whole_mask.cumsum(1) - 1).clamp(min=0),
    )
    torch.testing.assert_close(found, output.logits[:, -1], rtol=1e-4, atol=1e-4)


def test_the_lean_decoder_is_only_for_what_it_can_do():
    assert isinstance(decoder_for(writer("llama", 0), 4, 5), LlamaDecoder)
    assert isinstance(decoder_for(writer("llama", 0, tie_word_embeddings=True), 4, 5), LlamaDecoder)
    others = [
        writer("biogpt", 0),
        writer("llama", 0, attention_bias=True),
        writer("llama", 0, mlp_bias=True),
        writer("llama", 0, rope_scaling={"rope_type": "linear", "factor": 2.0}),
        writer("mistral", 0, num_key_value_heads=2),
    ]
    for model in others:
        assert isinstance(decoder_for(model, 4, 5), AnyDecoder)
        embeddings, mask, positions = prompts(1)
        search = BeamSearch(2, 8)
        texts, _ = transformers_answer(model, embeddings, mask, search)
        assert [a.tokens for a in beam_search(model, embeddings, mask, positions, search)] == texts


def test_one_by_one_is_as_in_a_batch(model):
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(3, 2, 1, SIZE, SIZE, generator=generator)
    ids = torch.randint(3, TOKENS, (3, 8), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    mask[2, 6:] = 0  # padding behind a prompt
    views = torch.tensor([[True, True], [False, True], [True, False]])
    together = model.generate(images, ids, mask, view_mask=views)
    for row, shown in enumerate((slice(0, 8), slice(3, 8), slice(0, 6))):
        (alone,) = model.generate(
            images[row : row + 1], ids[row : row + 1, shown], view_mask=views[row : row + 1]
        )
        assert alone.tokens == together[row].tokens
        assert alone.score == pytest.approx(together[row].score, rel=1e-4)


def test_the_pictures_change_the_text_and_an_absent_one_does_not(model):
    images = torch.randn(1, 2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(3, 9)[None]
    shown = torch.tensor([[True, False]])
    first = model.generate(images, ids, view_mask=shown)[0]
    unseen, seen = images.clone(), images.clone()
    unseen[0, 1] = torch.nan
    seen[0, 0] *= -1
    assert model.generate(unseen, ids, view_mask=shown)[0] == first
    assert model.generate(seen, ids, view_mask=shown)[0] != first


def test_a_text_ends_with_the_context():
    model = network(max_new_tokens=500)
    images = torch.randn(1, 2, 1, SIZE, SIZE)
    free = 256 - model.config.prefix_length
    long = torch.full((1, free - 3), 5)
    answer = model.generate(images, long, beams=2)[0]
    assert len(answer.tokens) <= 3
    with pytest.raises(CandidateError, match="none is left"):
        model.generate(images, torch.full((1, free), 5))
    assert model.generate(images, long[:, :50], max_new_tokens=7)[0].finished is False


@pytest.mark.parametrize("kind", ["llama", "biogpt"])
def test_a_prompt_near_the_end_of_the_context_stops_while_another_goes_on(kind):
    model = writer(kind, 1, max_position_embeddings=16)
    embeddings, mask, positions = prompts(1, batch=3, length=14)
    mask[1, :10] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    together = beam_search(model, embeddings, mask, positions, BeamSearch(2, 10))
    assert len(together[0].tokens) <= 2
    for row in range(3):
        one = slice(row, row + 1)
        (alone,) = beam_search(model, embeddings[one], mask[one], positions[one], BeamSearch(2, 10))
        assert alone.tokens == together[row].tokens


def test_nan_is_no_text():
    model = writer("llama", 0)
    embeddings, mask, positions = prompts(0)
    with pytest.raises(GenerationError, match="NaN"):
        beam_search(model, embeddings * torch.nan, mask, positions, BeamSearch(2, 5))


@pytest.mark.parametrize("wrong", [{"beams": 0}, {"max_new_tokens": 0}])
def test_settings_that_write_nothing_are_refused(wrong):
    with pytest.raises(CandidateError, match="1 or more"):
        BeamSearch(**wrong)
