"""A checkpoint's model -> a package: graphs, tokenizer, manifest and card in one folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.deployment import tensors
from harness.deployment.card import package_card
from harness.deployment.manifest import (
    MANIFEST,
    Cache,
    DeploymentConfig,
    Graph,
    Manifest,
    Precision,
    Tokens,
    read_manifest,
    write_manifest,
)
from harness.deployment.quantise import graph_size
from harness.digests import digest_file
from harness.errors import CandidateError

if TYPE_CHECKING:
    from harness.candidates.multimodal.model import RadiologyMultimodalModel

CARD: Final = "README.md"
_WHY: Final[dict[tuple[str, Precision], str]] = {
    (
        "vision",
        "fp32",
    ): "full precision: for processors, which compute FP16 only by converting to FP32 and back",
    ("vision", "fp16"): "half the size, and what the matrix units of a GPU are fastest in",
    (
        "language",
        "int8",
    ): "a quarter of the size; the matrix products of decoding are bound by reading weights",
    ("language", "fp32"): "asked for at export",
}


def prepare_for_deployment(model: RadiologyMultimodalModel, config: DeploymentConfig) -> Manifest:
    """Writes a package that `onnx:PACKAGE` runs with onnxruntime alone.

    Vision encoder, projection and finding head become one graph, in FP16, FP32 or both; the language
    model becomes one graph with a key-value cache that reads a prompt and writes a token, with INT8
    weights by dynamic quantisation. Each float32 graph is compared with torch before it is kept.
    Whether the lower precision costs anything clinical is for `harness parity` to say.

    Args:
        model: as `RadiologyMultimodalModel.from_pretrained(config.checkpoint)` gives it; adapters are
            merged in.
        config: where from, where to, and the precisions.

    Returns:
        The manifest as written.

    Raises:
        CandidateError: a package onnx or onnxruntime is missing, the model has no ONNX form, the
            checkpoint has no tokenizer, or the folder holds something else.
    """
    for name in ("onnx", "onnxruntime"):
        try:
            __import__(name)
        except ImportError:
            raise CandidateError(f'export needs {name}; pip install "harness[deployment]"') from None
    from harness.candidates.multimodal.checkpoints import WEIGHTS, checkpoint_digest, merged

    source = checkpoint_digest(config.checkpoint)
    out = config.out
    _refuse_other(out)
    whole = model if model.config.lora is None else merged(model)
    whole = whole.to("cpu").float().eval()
    out.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and put there whole: a package cut short is never found.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        made = Path(folder) / "package"
        made.mkdir()
        vision, language, deviation = _write_graphs(whole, config, made)
        tokens = _write_tokenizer(config.checkpoint, made)
        manifest = _manifest(
            whole,
            source=source,
            source_name=config.checkpoint.resolve().name,
            source_size=(config.checkpoint / WEIGHTS).stat().st_size,
            vision=vision,
            language=language,
            tokens=tokens,
            opset=config.opset,
            deviation=deviation,
            files={path.name: digest_file(path) for path in sorted(made.iterdir())},
        )
        (made / CARD).write_text(package_card(manifest), encoding="utf-8")
        write_manifest(made, manifest)
        if out.is_dir():
            shutil.rmtree(out)
        os.replace(made, out)
    return manifest


def _refuse_other(out: Path) -> None:
    """An earlier package may be replaced, and nothing else.

    Raises:
        CandidateError: the folder holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise CandidateError(f"{out}: holds something that is no package; name another folder")
    read_manifest(out)


def _write_graphs(
    model: RadiologyMultimodalModel, config: DeploymentConfig, out: Path
) -> tuple[tuple[Graph, ...], Graph, dict[str, float]]:
    from harness.deployment.graphs import export_language, export_vision
    from harness.deployment.quantise import halve, quantise_int8

    vision: list[Graph] = []
    full, half = out / "vision.onnx", out / "vision.fp16.onnx"
    language, whole = out / "language.onnx", out / "language.fp32.onnx"
    deviation = {"vision": export_vision(model, full, config.opset)}
    if config.vision in ("both", "fp32"):
        vision.append(_graph(full, "vision", "fp32"))
    if config.vision in ("both", "fp16"):
        halve(full, half)
        vision.append(_graph(half, "vision", "fp16"))
    if config.vision == "fp16":
        _remove(full)
    deviation["language"] = export_language(model, whole, config.opset)
    if config.language == "int8":
        quantise_int8(whole, language)
        _remove(whole)
    else:
        language = whole
    return tuple(vision), _graph(language, "language", config.language), deviation


def _graph(path: Path, part: str, precision: Precision) -> Graph:
    why = _WHY[part, precision]
    return Graph(file=path.name, precision=precision, why=why, size=graph_size(path))


def _remove(path: Path) -> None:
    path.unlink()
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)


def _write_tokenizer(checkpoint: Path, out: Path) -> Tokens:
    """Saves the tokenizer, and finds out whether `tokenizers` alone reads it alike."""
    from harness.candidates.multimodal.processor import load_tokenizer
    from harness.candidates.onnx.tokens import FastTokenizer

    tokenizer = load_tokenizer(checkpoint)
    tokenizer.save_pretrained(out)
    size, eos = len(tokenizer), tokenizer.eos_token_id
    if eos is None:
        raise CandidateError(f"{checkpoint}: the tokenizer has no eos_token; a report could not end")
    found: dict[str, Any] = {
        "size": size, "bos": tokenizer.bos_token_id, "eos": eos, "pad": tokenizer.pad_token_id
    }  # fmt: skip
    library = "transformers"
    if (out / "tokenizer.json").is_file():
        fast = FastTokenizer(out / "tokenizer.json", **found)
        texts = (*_PROBES, tokenizer.decode(range(min(size, 2000)), skip_special_tokens=True))
        same = all(
            fast(text) == {"input_ids": ids}
            and fast.decode(ids) == tokenizer.decode(ids, skip_special_tokens=True)
            for text in texts
            for ids in [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]]
        )
        library = "tokenizers" if same else "transformers"
    return Tokens(library=library, **found)  # type: ignore[arg-type]  # one of the two words


_PROBES: Final = (
    "Findings: There is a 3.5 cm mass in the left upper lobe , unchanged .\nImpression: 1. Mass; don't wait.",
    "Patient: 63-year-old woman.\nViews: frontal, lateral.\nIndication: Cough (fever?) </s> <pad> [cut]\n",
    "No pneumothorax.  The heart's size is normal/unchanged – “stable” – µ é.",
)


def _manifest(model: RadiologyMultimodalModel, *, tokens: Tokens, **fields: Any) -> Manifest:
    from harness.candidates.multimodal.processor import context_length
    from harness.deployment.graphs import cache_shape

    config = model.config
    layers, heads, head_size = cache_shape(model)
    language = dict(config.language)
    context = context_length(config)
    if context is not None:  # under the name by which a program without transformers finds it
        language["max_position_embeddings"] = context
    config = config.changed(language=language)
    width = model.language_size
    return Manifest(
        config=config,
        tokens=tokens,
        cache=Cache(layers=layers, heads=heads, head_size=head_size),
        width=width,
        inputs=tensors.inputs(config, width, heads, head_size),
        outputs=tensors.outputs(config, width, heads, head_size),
        versions={name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")},
        **fields,
    )
