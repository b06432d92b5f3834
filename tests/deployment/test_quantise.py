import numpy as np
import onnx
import pytest
import torch

from harness.candidates.onnx.model import OnnxModel
from harness.deployment import quantise
from harness.deployment.manifest import read_package
from harness.errors import CandidateError
from tiny_package import make_package


def test_int8_holds_the_weights_in_8_bits_of_which_7_are_used(tiny_checkpoint, tmp_path):
    folder, model = tiny_checkpoint
    make_package(model, folder, tmp_path / "package", language="int8")
    graph = onnx.load(tmp_path / "package" / "language.onnx").graph
    tables = [onnx.numpy_helper.to_array(item) for item in graph.initializer if len(item.dims) == 2]
    weights = [table for table in tables if table.dtype == np.int8]
    assert len(weights) == 2 * 7 + 1  # seven projections a layer, and the head
    assert max(np.abs(values.astype(int)).max() for values in weights) == 64
    assert [table.shape for table in tables if table.dtype == np.uint8] == [(300, 32)]  # embeddings
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) == 2 * 7 + 1
    assert not [table for table in tables if table.dtype == np.float32 and table.size >= 32 * 32]


def test_fp16_keeps_inputs_and_outputs_in_32_bits(tiny_package):
    graph = onnx.load(tiny_package / "vision.fp16.onnx").graph
    kinds = {item.name: item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)}
    assert kinds["images"] == kinds["tokens"] == kinds["label_logits"] == onnx.TensorProto.FLOAT
    weights = [item.data_type for item in graph.initializer if len(item.dims) == 2]
    assert set(weights) == {onnx.TensorProto.FLOAT16}


def test_weights_past_two_gigabytes_lie_beside_their_graph(
    tiny_checkpoint, tiny_package, tmp_path, monkeypatch
):
    folder, model = tiny_checkpoint
    whole = torch.onnx.export

    def scattered(graph, example, path, **options):
        """As torch writes a large model: a file a tensor."""
        whole(graph, example, path, **options)
        onnx.save(onnx.load(path), path, save_as_external_data=True, all_tensors_to_one_file=False,
                  size_threshold=64)  # fmt: skip

    monkeypatch.setattr(torch.onnx, "export", scattered)
    monkeypatch.setattr(quantise, "_LARGEST", 0)
    out = tmp_path / "package"
    manifest = make_package(model, folder, out, language="int8")
    assert {"language.onnx.data", "vision.onnx.data", "vision.fp16.onnx.data"} <= set(read_package(out).files)
    assert not list(out.glob("*fp32*"))
    assert not list(out.glob(".*"))
    assert manifest.language.size > (out / "language.onnx").stat().st_size
    planes, there = np.zeros((2, 1, 32, 32), dtype=np.float32), np.array([True, True])
    one, two = (OnnxModel(each).encode(planes, there) for each in (out, tiny_package))
    assert np.array_equal(one[2], two[2])
    data = out / "language.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(CandidateError, match=r"language\.onnx\.data: damaged"):
        OnnxModel(out)
