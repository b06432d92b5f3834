import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.candidates.multimodal.checkpoints import (
    checkpoint_digest,
    load_adapters,
    merged,
    save_adapters,
)
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.errors import CandidateError
from tiny_multimodal import SIZE, configuration, network

LORA = {"r": 2, "alpha": 4.0, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}


def same(a, b):
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def some_logits(model):
    images = torch.randn(1, 2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(images, torch.arange(3, 12)[None])
    return torch.cat([output.logits.flatten(), output.label_logits.flatten()])


def edit(directory, **changes):
    path = directory / "config.json"
    values = json.loads(path.read_text())
    for name, change in changes.items():
        nested = isinstance(change, dict) and values[name]
        values[name] = {**values[name], **change} if nested else change
    path.write_text(json.dumps(values))


def test_what_is_read_is_what_was_written_bit_for_bit(model, tokenizer, tmp_path):
    digest = model.save_pretrained(tmp_path, tokenizer)
    read = RadiologyMultimodalModel.from_pretrained(tmp_path)
    assert same(model, read)
    assert read.config == model.config
    assert not read.training
    assert torch.equal(some_logits(model), some_logits(read))
    assert read.save_pretrained(tmp_path / "again", tokenizer) == digest == checkpoint_digest(tmp_path)


def test_tied_weights_stay_tied_and_stand_once(tmp_path):
    model = network("biogpt")
    assert model.language.get_output_embeddings().weight is model.language.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert sum("embed_tokens" in name or "output_projection" in name for name in names) == 1
    read = RadiologyMultimodalModel.from_pretrained(tmp_path)
    assert read.language.get_output_embeddings().weight is read.language.get_input_embeddings().weight
    assert same(model, read)


def test_half_precision_on_disk_is_single_in_memory(tmp_path):
    model = network()
    model.save_pretrained(tmp_path, dtype=torch.float16)
    assert {w.dtype for w in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    read = RadiologyMultimodalModel.from_pretrained(tmp_path)
    assert {w.dtype for w in read.parameters()} == {torch.float32}
    for name, weight in model.state_dict().items():
        assert torch.equal(read.state_dict()[name], weight.half().float())


def test_the_card_tells_what_it_is(tokenizer, tmp_path):
    digest = network(lora=LORA, uncertain_policy="positive").save_pretrained(
        tmp_path, tokenizer, notes=["Made by `harness train`, seed 7."]
    )
    card = (tmp_path / "README.md").read_text()
    for told in (digest, "seed 7", "LoRA r = 2", "uncertain positive", "4 beams", "4 x 4 patches"):
        assert told in card


def test_the_processor_comes_with_it(checkpoint):
    processor = MultimodalProcessor.from_pretrained(checkpoint)
    assert processor.decode(processor.ids("The heart is normal.")) == "The heart is normal."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projector_hidden": 21}, r"projector\.first\.bias has shape \[20\], not \[21\], and 2 more"),
        ({"language": {"num_hidden_layers": 3}}, "lacks language.model.layers.2"),
        ({"language": {"num_hidden_layers": 1}}, "which the model has not"),
        ({"vision": {"hidden_size": 18}}, r"has shape"),
        ({"vision": {"image_size": 64}, "image_size": 64}, "position_embeddings has shape"),
        ({"views": []}, "views: name frontal"),
        ({"beams": 0}, "beams"),
        ({"beems": 4}, "beems: Extra inputs"),
        ({"findings": ["Edema"]}, "14 CheXpert findings"),
        ({"thresholds": {"Edema": 1.5}}, "thresholds.Edema"),
        ({"positive_weights": [1.0]}, "needs 14 weights"),
        ({"model_type": "llama"}, "model_type is llama"),
        ({"vision": {"model_type": "dinov2"}}, "must be vit"),
        ({"vision": {"num_channels": 2}}, "num_channels must be 1 or 3"),
        ({"image_std": 0.0}, "image_std"),
        ({"lora": LORA}, "config and weights disagree"),
    ],
)
def test_config_and_weights_that_disagree(checkpoint, change, message):
    edit(checkpoint, **change)
    with pytest.raises(CandidateError, match=message):
        RadiologyMultimodalModel.from_pretrained(checkpoint)


def test_missing_and_unexpected_tensors_are_named(checkpoint):
    path = checkpoint / "model.safetensors"
    weights = load_file(path)
    bias = weights.pop("head.bias")
    save_file(weights, path)
    with pytest.raises(CandidateError, match=r"lacks head\.bias; take both"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)
    save_file({**weights, "head.bias": bias, "head.extra": bias.clone()}, path)
    with pytest.raises(CandidateError, match=r"holds head\.extra"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)


def test_damaged_and_malicious_files(checkpoint, tmp_path):
    path = checkpoint / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x00" * 100, pickle.dumps({"head.bias": 1})):
        path.write_bytes(damaged)
        with pytest.raises(CandidateError, match="not a whole safetensors file"):
            RadiologyMultimodalModel.from_pretrained(checkpoint)
    path.unlink()
    with pytest.raises(CandidateError, match=r"no model\.safetensors"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)
    for name in ("pytorch_model.bin", "model.pt"):
        (checkpoint / name).write_bytes(pickle.dumps(print))
        with pytest.raises(CandidateError, match="a pickle, which can run code"):
            RadiologyMultimodalModel.from_pretrained(checkpoint)
        (checkpoint / name).unlink()
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(CandidateError, match="not readable as JSON"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)
    (checkpoint / "config.json").write_text("[]")
    with pytest.raises(CandidateError, match="model_type is list"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)
    with pytest.raises(CandidateError, match=r"no config\.json"):
        RadiologyMultimodalModel.from_pretrained(tmp_path / "nowhere")


def test_weights_that_are_no_numbers(checkpoint):
    path = checkpoint / "model.safetensors"
    weights = load_file(path)
    weights["head.bias"][3] = torch.nan
    save_file(weights, path)
    with pytest.raises(CandidateError, match=r"head\.bias holds values that are not finite"):
        RadiologyMultimodalModel.from_pretrained(checkpoint)


def test_tokenizers_that_are_missing_or_of_another_model(checkpoint, tokenizer):
    edit(checkpoint, language={"eos_token_id": 5})
    with pytest.raises(CandidateError, match="ends a text with token 2, the language model with 5"):
        MultimodalProcessor.from_pretrained(checkpoint)
    with pytest.raises(CandidateError, match="the language model 20"):
        MultimodalProcessor(configuration(language={**configuration().language, "vocab_size": 20}), tokenizer)
    (checkpoint / "tokenizer.json").write_text("{")
    with pytest.raises(CandidateError, match="tokenizer does not load"):
        MultimodalProcessor.from_pretrained(checkpoint)
    (checkpoint / "tokenizer_config.json").unlink()
    with pytest.raises(CandidateError, match=r"no tokenizer_config\.json"):
        MultimodalProcessor.from_pretrained(checkpoint)


# Adapters


def trained(model):
    """A step of training on whatever has a gradient."""
    optimizer = torch.optim.SGD([w for _, w in model.trainable()], lr=0.5)
    images, ids = torch.randn(1, 2, 1, SIZE, SIZE), torch.arange(3, 12)[None]
    for _ in range(2):  # the first moves only one of an adapter's factors from zero
        optimizer.zero_grad()
        model(images, ids, labels=ids, finding_labels=torch.ones(1, 14)).loss.backward()
        optimizer.step()
    return model.eval()


def test_only_adapters_projection_and_head_are_trained():
    model = network(lora=LORA).train()
    names = {name for name, _ in model.trainable()}
    assert names
    assert all("lora_" in name or name.startswith(("projector.", "head.")) for name in names)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trained(model)
    moved = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert moved == names


def test_a_checkpoint_with_adapters_comes_back(tokenizer, tmp_path):
    model = trained(network(lora=LORA))
    model.save_pretrained(tmp_path, tokenizer)
    read = RadiologyMultimodalModel.from_pretrained(tmp_path)
    assert same(model, read)
    assert torch.equal(some_logits(model), some_logits(read))
    images, ids = torch.randn(1, 2, 1, SIZE, SIZE), torch.arange(3, 12)[None]
    assert model.generate(images, ids) == read.generate(images, ids)


def test_adapters_alone_come_back_into_the_same_base(tmp_path):
    model = trained(network(lora=LORA))
    path = tmp_path / "adapters.safetensors"
    save_adapters(model, path)
    other = network(lora=LORA)
    assert not same(model, other)
    load_adapters(other, path)
    assert same(model, other)
    with pytest.raises(CandidateError, match="has shape"):
        load_adapters(network(lora={**LORA, "r": 3}), path)
    with pytest.raises(CandidateError, match="no adapters"):
        load_adapters(network(), path)


def test_merged_adapters_give_the_same_logits(tmp_path):
    model = trained(network(lora=LORA))
    expected = some_logits(model)
    whole = merged(model)
    assert whole.config.lora is None
    torch.testing.assert_close(some_logits(whole), expected, rtol=1e-4, atol=1e-4)
    whole.save_pretrained(tmp_path)
    assert same(whole, RadiologyMultimodalModel.from_pretrained(tmp_path))


def test_adapters_for_modules_that_are_not_there():
    with pytest.raises(CandidateError, match=r"lora\.target_modules: .*nowhere"):
        network(lora={**LORA, "target_modules": ["nowhere"]})
