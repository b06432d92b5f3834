import json

import pytest
import torch

from harness.candidates.multimodal.checkpoints import checkpoint_digest
from harness.cli import main
from harness.deployment import graphs
from harness.deployment.manifest import read_package
from harness.errors import CandidateError
from tiny_multimodal import network, tiny_tokenizer
from tiny_package import make_checkpoint, make_package


def test_the_command_writes_a_package(tiny_checkpoint, tmp_path, capsys):
    out = tmp_path / "deep" / "package"
    assert main(["export", str(tiny_checkpoint[0]), "--out", str(out)]) == 0
    manifest = read_package(out)
    assert manifest.source == checkpoint_digest(tiny_checkpoint[0])
    assert manifest.language.precision == "int8"
    printed = capsys.readouterr().out
    for told in ("language.onnx", "vision.fp16.onnx", manifest.digest(), "harness parity"):
        assert told in printed
    card = (out / "README.md").read_text()
    assert "Not a medical device" in card
    assert manifest.source in card
    # Given again, the package is replaced; nothing is left beside it.
    assert (
        main(["export", str(tiny_checkpoint[0]), "--out", str(out), "--language", "fp32", "--vision", "fp32"])
        == 0
    )
    assert [graph.precision for graph in read_package(out).vision] == ["fp32"]
    assert [path.name for path in out.parent.iterdir()] == ["package"]


def test_the_same_checkpoint_gives_the_same_package(tiny_checkpoint, tmp_path):
    digests = {
        make_package(tiny_checkpoint[1], tiny_checkpoint[0], tmp_path / name, language="int8").digest()
        for name in "ab"
    }
    assert len(digests) == 1


def test_nothing_else_is_replaced(tiny_checkpoint, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CandidateError, match="holds something that is no package"):
        make_package(tiny_checkpoint[1], tiny_checkpoint[0], tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_adapters_are_merged_in(tmp_path):
    pytest.importorskip("peft")
    model = network(lora={"r": 2, "target_modules": ["q_proj", "v_proj"]})
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.2)
    ids, images = torch.randint(3, 300, (1, 20)), torch.randn(1, 2, 1, 32, 32)
    with torch.no_grad():
        wanted = model(images, ids).logits.numpy()
    model.save_pretrained(tmp_path / "tiny", tiny_tokenizer())
    make_package(model, tmp_path / "tiny", tmp_path / "package")
    from harness.candidates.onnx.model import OnnxModel

    exported = OnnxModel(tmp_path / "package")
    tokens, counted, _ = exported.encode(images[0].numpy(), torch.tensor([True, True]).numpy())
    assert abs(exported.logits(tokens, counted, ids.numpy()) - wanted).max() < 1e-4


def test_a_graph_that_is_not_the_model_is_not_kept(tmp_path, monkeypatch):
    model = make_checkpoint(tmp_path / "tiny")
    whole = graphs._export

    def damaged(graph, *others):
        whole(graph, *others)
        with torch.no_grad():
            model.head.bias += 1

    monkeypatch.setattr(graphs, "_export", damaged)
    with pytest.raises(CandidateError, match="differs from torch by 1"):
        make_package(model, tmp_path / "tiny", tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_no_tokenizer(tmp_path):
    model = network()
    model.save_pretrained(tmp_path / "tiny")
    with pytest.raises(CandidateError, match=r"no tokenizer_config\.json"):
        make_package(model, tmp_path / "tiny", tmp_path / "package")


def test_bad_input_of_the_command(tmp_path, tiny_checkpoint, capsys):
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "p")]) == 2
    assert "no config.json" in capsys.readouterr().err
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "config.json").write_text(json.dumps(tiny_checkpoint[1].config.model_dump(mode="json")))
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "p")]) == 2
    assert "a pickle" in capsys.readouterr().err
