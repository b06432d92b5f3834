import json
from pathlib import Path

import pytest
import torch
from small_training import recipe
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.candidates.multimodal.checkpoints import checkpoint_digest
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.cli import main
from harness.training.config import read_training_config
from harness.training.run import build, train

RECIPES = Path(__file__).parents[2] / "fixtures" / "training"


def test_from_configuration_to_a_checkpoint_that_loads(small_root, vit, tmp_path):
    config = recipe(vit, data={"cohort": f"phantom:{small_root}"})
    said = []
    done = train(config, tmp_path / "run", say=said.append)
    model = RadiologyMultimodalModel.from_pretrained(done.checkpoint)
    assert done.digest == checkpoint_digest(done.checkpoint)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["digest"] == done.digest
    assert model.config.thresholds
    assert model.config.positive_weights
    card = (done.checkpoint / "README.md").read_text()
    assert "seed 5" in card
    assert "square root of negatives per positive" in card
    assert {"history.parquet", "history.svg", "checkpoint", "run.json"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    # Half precision on disk: what was validated is what was written.
    assert all(torch.equal(value, value.half().float()) for value in model.parameters())
    again = train(config, tmp_path / "run")
    assert again.digest == done.digest


def test_the_mimic_cxr_recipe_builds_and_trains_on_tiny_stand_ins(small_root, vit, tmp_path):
    """The same recipe with a small ViT, a small LLaMA and its tokenizer in the weights' places."""
    pytest.importorskip("peft")
    ends = {"bos_token": "<s>", "eos_token": "</s>"}  # as LLaMA's: no padding token
    words = PreTrainedTokenizerFast(tokenizer_object=byte_level(), clean_up_tokenization_spaces=False, **ends)
    torch.manual_seed(0)
    llama = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=2048, bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    ))  # fmt: skip
    llama.save_pretrained(tmp_path / "llama")
    words.save_pretrained(tmp_path / "llama")
    config = read_training_config(RECIPES / "mimic-cxr.yaml")
    settings = {**config.model.settings, "image_size": 96}  # not the ViT's own, as 512 is not
    parts = {"vision": str(vit), "language": str(tmp_path / "llama"), "settings": settings}
    short = {"epochs": 1, "learning_rate": 1e-3}
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"cohort": f"mimic-cxr:{small_root}?views=pa%2Blateral"}),
            "model": config.model.model_copy(update=parts),
            "projector": config.projector.model_copy(update=short),
            "joint": config.joint.model_copy(update=short),
            "optimiser": config.optimiser.model_copy(update={"precision": "auto", "accumulate": 2}),
        }
    )
    model, _ = build(config, [])
    assert model.config.lora is not None
    assert model.config.views == ("frontal", "lateral")
    done = train(config, tmp_path / "run")
    whole = RadiologyMultimodalModel.from_pretrained(done.checkpoint)
    assert whole.config.lora is None, "the adapters are merged into the weights"
    base = LlamaForCausalLM.from_pretrained(tmp_path / "llama").state_dict()
    changed = {
        name for name, value in whole.language.state_dict().items()
        if not torch.allclose(value, base[name].to(torch.bfloat16).float(), atol=1e-6)
    }  # fmt: skip
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)


def byte_level():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def test_through_the_command_line_bad_input_ends_in_2_and_without_a_traceback(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\n")
    assert main(["train", "--config", str(bad)]) == 2
    assert "bad.yaml:1:1: " in capsys.readouterr().err
    small = str(RECIPES / "phantom.yaml")
    assert (
        main(["train", "--config", small, "--cohort", f"phantom:{tmp_path}", "--out", str(tmp_path / "o")])
        == 2
    )
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.startswith("harness: ")
