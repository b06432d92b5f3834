"""Lower precisions of an exported graph: INT8 weights by dynamic quantisation, FP16."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from harness.errors import CandidateError

_LARGEST: Final = 1_900_000_000
"""Bytes; a file of protocol buffers ends at 2 GiB, larger weights lie beside it."""


def graph_size(path: Path) -> int:
    """Bytes of a graph, with the weights that lie beside it in `NAME.data`."""
    return sum(file.stat().st_size for file in (path, path.with_name(f"{path.name}.data")) if file.exists())


def save_graph(graph: Any, path: Path, apart: bool) -> None:
    """Writes a graph; `apart`: its weights in one file beside it, `NAME.data`."""
    import onnx

    if apart:
        onnx.save(graph, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    else:
        onnx.save(graph, path)


def quantise_int8(source: Path, target: Path) -> None:
    """Writes a graph whose matrix products have 8-bit weights, scaled by output channel.

    Activations are scaled by their own range as they come (dynamic quantisation), so that no
    calibration data decides what the package does. Of the 8 bits 7 are used: with all of them,
    processors without VNNI instructions saturate in 16-bit sums, and one package would then write
    different reports on different machines. Embedding tables are
    stored in 8 bits too, with one scale for all of a table.

    Raises:
        CandidateError: the graph cannot be quantised.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=graph_size(source) > _LARGEST,
            extra_options={"MatMulConstBOnly": True},
        )
    except Exception as error:  # whatever the library makes of a graph it does not know
        first = str(error).strip().partition("\n")[0]
        raise CandidateError(
            f"{source.name}: cannot be quantised: {first}; keep it whole: --language fp32"
        ) from None
    finally:
        logging.getLogger().removeFilter(_no_advice)


def halve(source: Path, target: Path) -> None:
    """Writes a graph that computes in 16 bits, with inputs and outputs in 32.

    Raises:
        CandidateError: the graph cannot be converted.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        graph = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        save_graph(graph, target, apart=graph_size(source) > _LARGEST)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise CandidateError(
            f"{source.name}: has no 16-bit form: {first}; keep it whole: --vision fp32"
        ) from None


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing" not in record.getMessage()
