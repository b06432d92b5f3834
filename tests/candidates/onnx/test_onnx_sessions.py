import sys

import pytest

from harness.candidates.onnx.sessions import CPU, choose_provider, open_session
from harness.errors import CandidateError


def test_a_provider_that_is_not_there_is_named_with_those_that_are(tiny_package):
    with pytest.raises(CandidateError, match=r"tensorrt is not in this onnxruntime; there is (cuda, )?cpu"):
        choose_provider("tensorrt", tiny_package / "vision.onnx")
    with pytest.raises(CandidateError, match="no provider 'gpu'; there is auto, tensorrt, cuda, cpu"):
        choose_provider("gpu", tiny_package / "vision.onnx")


def test_one_that_does_not_start_is_no_other_in_silence(tiny_package):
    with pytest.raises(CandidateError, match="CUDAExecutionProvider does not start on this machine"):
        open_session(tiny_package / "vision.onnx", "CUDAExecutionProvider")


def test_auto_takes_what_starts(tiny_package, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    # The library claims CUDA; the device does not start; nobody asked for it.
    assert choose_provider("auto", tiny_package / "vision.onnx") == CPU


def test_a_corrupt_and_a_truncated_graph(tiny_package, tmp_path):
    data = (tiny_package / "language.fp32.onnx").read_bytes()
    for name, content in (
        ("short.onnx", data[: len(data) // 2]),
        ("bad.onnx", b"\x80\x04K\x01."),
        ("no.onnx", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CandidateError, match="onnxruntime cannot load it"):
            open_session(tmp_path / name, CPU)


def test_without_onnxruntime(tiny_package, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CandidateError, match=r"pip install \"harness\[deployment\]\""):
        open_session(tiny_package / "vision.onnx", CPU)
