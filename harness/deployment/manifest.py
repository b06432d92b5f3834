"""What a package says of itself: `manifest.json`, strict, with the digest of every file."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.candidates.multimodal.config import MultimodalConfig
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
Precision = Literal["fp32", "fp16", "int8"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]
_PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DeploymentConfig(_Strict):
    """How a package is made.

    Raises:
        pydantic.ValidationError: a field is unknown, missing or out of range.
    """

    checkpoint: Path
    """The folder that the model was loaded from; its tokenizer goes into the package."""
    out: Path
    """The package's folder; made if it is not there, refused if it holds something else."""
    vision: Literal["both", "fp16", "fp32"] = "both"
    """Precision of the vision graph; with both, the one that suits the provider is run."""
    language: Literal["int8", "fp32"] = "int8"
    """INT8: weights by output channel, activations as they come (dynamic quantisation)."""
    opset: Annotated[int, Field(ge=14, le=20)] = 17


class Graph(_Strict):
    """One ONNX file."""

    file: str
    precision: Precision
    why: str
    """Why this precision, in a sentence."""
    size: Count
    """Bytes, external data included."""


class Tensor(_Strict):
    """An input or output of a graph; names stand for sizes that vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str


class Cache(_Strict):
    """The key-value cache: a key and a value a layer, (batch, heads, positions, head size)."""

    layers: Count
    heads: Count
    head_size: Count


class Tokens(_Strict):
    """How text becomes ids."""

    library: Literal["tokenizers", "transformers"]
    """What reads the tokenizer's files: `tokenizers` wherever it does the very same."""
    size: Count
    bos: int | None
    eos: int
    pad: int | None


class Manifest(_Strict):
    """Everything that a program needs to run a package.

    Raises:
        pydantic.ValidationError: as of any strict model.
    """

    format: Literal[1] = FORMAT
    source: Digest
    """The checkpoint's content digest."""
    source_name: str
    source_size: Count
    """Bytes of the checkpoint's weights file."""
    config: MultimodalConfig
    """The checkpoint's: picture size and normalisation (`(grey - image_mean) / image_std`, grey in
    [0, 1]), views, findings in the head's order, thresholds, beams, prompt settings."""
    vision: Annotated[tuple[Graph, ...], Field(min_length=1)]
    language: Graph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    cache: Cache
    width: Count
    """d_l, the size of an image token."""
    tokens: Tokens
    opset: int
    versions: dict[str, str]
    """Of torch, transformers, onnx and onnxruntime at export."""
    deviation: dict[str, float]
    """Greatest absolute difference of each graph's outputs from torch's, on random input at export."""
    files: dict[str, Digest]
    """File -> SHA-256 of every file but this one."""

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        named = [graph.file for graph in (*self.vision, self.language)]
        for name in (*named, *self.files):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or len(path.parts) != 1:
                raise ValueError(f"{name}: files lie in the package's own folder")
        if missing := [name for name in named if name not in self.files]:
            raise ValueError(f"{missing[0]}: a graph without a digest")
        return self

    def digest(self) -> str:
        """SHA-256 (hex) of all of it, and so of every file."""
        return digest_value(self.model_dump(mode="json"))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes `manifest.json`, sealed with its own digest."""
    record = {**manifest.model_dump(mode="json"), "digest": manifest.digest()}
    (directory / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a package's folder; its files are not looked at.

    Raises:
        CandidateError: there is none, it was edited, or it is of another format.
    """
    path = directory / MANIFEST
    if directory.is_file() and directory.suffix in _PICKLES:
        raise CandidateError(f"{directory}: a pickle, which can run code when it is read; {_MAKE}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise CandidateError(f"{directory}: no {MANIFEST}; {_MAKE}") from None
    except (OSError, ValueError) as error:
        raise CandidateError(f"{path}: not readable as JSON ({error}); {_AGAIN}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise CandidateError(f"{path}: format {found}, not {FORMAT}; {_AGAIN}")
    seal = record.pop("digest", None)
    try:
        manifest = Manifest.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "manifest"
        raise CandidateError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    if manifest.digest() != seal:
        raise CandidateError(f"{path}: was edited after the export: its digest disagrees; {_AGAIN}")
    return manifest


def read_package(directory: Path) -> Manifest:
    """The manifest of a package, each of whose files is there and has the digest that it names.

    Raises:
        CandidateError: as `read_manifest`, or a file is missing, damaged or a pickle.
    """
    manifest = read_manifest(directory)
    for name, digest in manifest.files.items():
        path = directory / name
        if path.suffix in _PICKLES:
            raise CandidateError(f"{path}: a pickle, which can run code when it is read; {_AGAIN}")
        if not path.is_file():
            raise CandidateError(f"{path}: missing; {_AGAIN}")
        if digest_file(path) != digest:
            raise CandidateError(
                f"{path}: damaged or changed: its digest is not the manifest's; copy the package again"
            )
    return manifest


_MAKE: Final = "a package is made by harness export CHECKPOINT --out PACKAGE"
_AGAIN: Final = "export the checkpoint again: harness export CHECKPOINT --out PACKAGE"
