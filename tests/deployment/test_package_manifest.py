import json
import shutil

import pytest

from harness.candidates.onnx.model import OnnxModel
from harness.deployment.manifest import read_package
from harness.errors import CandidateError
from tiny_package import resealed


@pytest.fixture
def copy(tiny_package, tmp_path):
    out = tmp_path / "package"
    shutil.copytree(tiny_package, out)
    return out


def edit(tiny_package, change):
    path = tiny_package / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_it_says_what_a_program_needs(tiny_package, tiny_checkpoint):
    manifest = read_package(tiny_package)
    config = manifest.config
    assert config == tiny_checkpoint[1].config
    inputs = {item.name: item for item in manifest.inputs}
    assert inputs["images"].shape == ("batch", 2, 1, 32, 32)
    assert "(grey - 0.5) / 0.5" in inputs["images"].meaning
    assert [graph.precision for graph in manifest.vision] == ["fp32", "fp16"]
    assert all(graph.why for graph in (*manifest.vision, manifest.language))
    assert set(manifest.versions) == {"torch", "transformers", "onnx", "onnxruntime"}
    assert manifest.tokens.library == "tokenizers"
    assert (manifest.cache.layers, manifest.cache.heads, manifest.cache.head_size) == (2, 2, 8)
    assert set(manifest.files) == {path.name for path in tiny_package.iterdir()} - {
        "manifest.json",
        "README.md",
    }
    assert max(manifest.deviation.values()) < 1e-4


def test_a_byte_more_or_less_is_found(copy):
    path = copy / "language.fp32.onnx"
    data = path.read_bytes()
    for changed in (data[:-100], data[:-1] + bytes([data[-1] ^ 1]), data + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(CandidateError, match=r"language.fp32.onnx: damaged or changed"):
            OnnxModel(copy)


def test_a_missing_file(copy):
    (copy / "vision.onnx").unlink()
    with pytest.raises(CandidateError, match=r"vision.onnx: missing; export the checkpoint again"):
        OnnxModel(copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["config"].update(image_mean=0.4), "was edited after the export"),
        (lambda r: r.pop("digest"), "was edited after the export"),
        (lambda r: r.update(format=2), "format 2, not 1"),
        (lambda r: r.update(formt=1), "formt: Extra inputs are not permitted"),
        (lambda r: r.pop("cache"), "cache: Field required"),
        (lambda r: r["config"].update(image_size=31), "config: image_size is 31"),
        (lambda r: r["files"].update({"../x": "0" * 64}), "../x: files lie in the package's own folder"),
        (lambda r: r["files"].pop("vision.onnx"), "vision.onnx: a graph without a digest"),
        (lambda r: r["files"].update({"vision.onnx": "zz"}), "files.vision.onnx: String should match"),
    ],
)
def test_an_edited_manifest(copy, change, told):
    edit(copy, change)
    with pytest.raises(CandidateError) as caught:
        read_package(copy)
    assert told in str(caught.value)


def test_no_package(tmp_path, tiny_checkpoint):
    for path in (tmp_path, tmp_path / "none", tiny_checkpoint[0]):
        with pytest.raises(CandidateError, match=r"no manifest.json; a package is made by harness export"):
            read_package(path)
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(CandidateError, match="a pickle, which can run code"):
        read_package(tmp_path / "model.pt")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CandidateError, match="not readable as JSON"):
        read_package(tmp_path)


def test_a_pickle_among_the_files(copy, tmp_path):
    (copy / "extra.pkl").write_bytes(b"\x80\x04.")
    whole = resealed(copy, tmp_path / "other", lambda r: r["files"].update({"extra.pkl": "0" * 64}))
    with pytest.raises(CandidateError, match=r"extra.pkl: a pickle"):
        read_package(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["cache"].update(head_size=16), "past.0.key has shape"),
        (lambda r: r["cache"].update(layers=3), "has no past.2.key"),
        (lambda r: r.update(width=31), "tokens has shape"),
        (lambda r: r["config"].update(views=["frontal"]), "images has shape"),
        (lambda r: r["tokens"].update(size=200), "has 300 tokens and the manifest says 200"),
    ],
)
def test_a_whole_manifest_that_the_graphs_contradict(tiny_package, tmp_path, change, told):
    with pytest.raises(CandidateError) as caught:
        OnnxModel(resealed(tiny_package, tmp_path / "other", change))
    assert told in str(caught.value)
