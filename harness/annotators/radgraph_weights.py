"""Where RadGraph checkpoints lie, and how to get them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness.digests import digest_file, digest_value
from harness.errors import NotEvaluable

Model = Literal["radgraph", "radgraph-xl", "modern-radgraph-xl"]
MODELS: Final = get_args(Model)

_ENCODER_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
                         "vocab.json", "merges.txt", "special_tokens_map.json")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in the package's own format, and its base encoder's configuration and tokenizer.

    The folder holds `config.json`, `vocabulary/` and `weights.th`, the last with the encoder's
    weights in it; the encoder's folder holds its `config.json` and tokenizer.
    """

    folder: Path
    encoder: Path

    @property
    def config(self) -> dict[str, Any]:
        """The training configuration."""
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return config

    @property
    def window(self) -> int:
        """How many wordpieces, special ones included, the encoder reads at once."""
        try:
            length = self.config["dataset_reader"]["token_indexers"]["bert"].get("max_length")
            if length is None:
                length = json.loads((self.encoder / "config.json").read_text())["max_position_embeddings"]
            return int(length)
        except (OSError, ValueError, KeyError, TypeError):
            raise NotEvaluable(f"{self.encoder}: no whole base encoder; fetch it anew") from None

    def digest(self) -> str:
        """SHA-256 (hex) over everything that decides: weights, labels, settings, tokenizer."""
        files = [
            self.folder / "config.json",
            self.folder / "weights.th",
            *sorted((self.folder / "vocabulary").glob("*.txt")),
            *(path for name in _ENCODER_FILES if (path := self.encoder / name).is_file()),
        ]
        return digest_value([[path.name, digest_file(path)] for path in files])


def find_checkpoint(model: Model, path: Path | None) -> Checkpoint:
    """A checkpoint from a folder, or else from where the package keeps what it fetched from the hub.

    Nothing is fetched here: a run must not wait for a network, nor judge by weights that came in its
    course.

    Raises:
        NotEvaluable: it is nowhere, with the two lines that tell how to get it; or the folder is
            not a whole checkpoint.
    """
    if find_spec("radgraph") is None or find_spec("torch") is None:
        raise NotEvaluable('RadGraph needs the radgraph package: pip install "harness[models]"')
    folder = path or cache_folder() / model
    if not (folder / "weights.th").is_file():
        raise NotEvaluable(f"no weights of {model} in {folder}.\n{_remedy(model)}")
    checkpoint = Checkpoint(folder, folder / "encoder")
    try:
        name = str(checkpoint.config["dataset_reader"]["token_indexers"]["bert"]["model_name"])
        whole = (folder / "vocabulary" / "non_padded_namespaces.txt").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise NotEvaluable(
            f"{folder}: not a whole RadGraph checkpoint; it needs config.json, vocabulary/ and weights.th"
        )
    for encoder in (folder / "encoder", folder / name, Path(name)):
        if (encoder / "config.json").is_file():
            return Checkpoint(folder, encoder)
    return Checkpoint(folder, _fetched_encoder(name, model, folder))


def cache_folder() -> Path:
    """Where the package keeps its weights."""
    from appdirs import user_cache_dir

    try:
        return Path(user_cache_dir("radgraph")) / version("radgraph")
    except PackageNotFoundError:
        return Path(user_cache_dir("radgraph"))


def _remedy(model: Model) -> str:
    return (
        f"With network: python -c \"import radgraph; radgraph.RadGraph(model_type='{model}')\"\n"
        f"Without: copy {cache_folder() / model} from a machine that did this, put the base encoder's config "
        "and tokenizer into its folder encoder/, and name the folder in the suite: "
        f"graphs: {{annotator: radgraph, options: {{model: {model}, path: FOLDER}}}}"
    )


def _fetched_encoder(name: str, model: Model, folder: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        raise NotEvaluable(
            f"no base encoder {name} for {model} in {folder}.\n"
            f"With network: hf download {name} {' '.join(_ENCODER_FILES[:4])}\n"
            f"Without: copy its config.json and tokenizer files to {folder / 'encoder'}"
        ) from None
