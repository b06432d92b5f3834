"""CheXbert as a labeler, from the published checkpoint or one of the same structure."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Labeler
from harness.digests import digest_file, digest_value
from harness.errors import NotEvaluable
from harness.report import FINDINGS, State

_log: Final = logging.getLogger(__name__)
HUB: Final = "hub:"
PUBLISHED: Final = f"{HUB}StanfordAIMI/RRG_scorers/chexbert.pth"
ENCODER: Final = "bert-base-uncased"
_ENCODER_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
_REMEDY: Final = (
    f"With network: hf download StanfordAIMI/RRG_scorers chexbert.pth && hf download {ENCODER} "
    f"{' '.join(_ENCODER_FILES)}\n"
    "Without: copy the file, put the base encoder's config.json and vocab.txt into encoder/ beside it, and "
    "name it in the suite: labeler: {annotator: chexbert, options: {path: FILE}}"
)


class Chexbert(Labeler):
    """Smit et al., EMNLP 2020: BERT with a head of four classes for each finding, two for No Finding.

    Nothing is fetched in a run. A report longer than the encoder, which the authors' code cuts off,
    is read in windows that end with a sentence where they can; what any of them states counts, and a
    warning says how many reports were.

    Args:
        path: the checkpoint file; or `hub:OWNER/REPOSITORY/FILE`, fetched before with `hf download`.
            Its base encoder's configuration and tokenizer lie in `encoder/` beside it, or else are
            those of bert-base-uncased.
    """

    name = "chexbert"
    heavy = True

    def __init__(self, path: str = PUBLISHED) -> None:
        if path.startswith(HUB) and path.count("/") != 2:
            raise ValueError("path must be a file, or read hub:OWNER/REPOSITORY/FILE")
        self.path = path
        self._signature = ""
        self._network: Any = None
        self._tokenizer: Any = None

    def signature(self) -> str:
        """`chexbert@sha256:DIGEST|window:WORDPIECES`; the digest is over weights and tokenizer."""
        if not self._signature:
            file, encoder = self._find()
            parts = [file, *(path for name in _ENCODER_FILES if (path := encoder / name).is_file())]
            digest = digest_value([[path.name, digest_file(path)] for path in parts])
            self._signature = f"{self.name}@sha256:{digest[:16]}|window:{_window(encoder)}"
        return self._signature

    def label(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes, shape (n, 14); equal texts are read once.

        Raises:
            NotEvaluable: the weights are missing or damaged.
        """
        from harness.annotators.chexbert_model import classify, joined

        if self._network is None:
            self._load()
        labels = np.full((len(texts), len(FINDINGS)), State.NOT_MENTIONED, dtype=np.int8)
        plain = [" ".join(text.encode("utf-8", "replace").decode().split()) for text in texts]
        todo = sorted(set(plain) - {""})
        if not todo:
            return labels
        pieces = self._tokenizer(todo, add_special_tokens=False, verbose=False)["input_ids"]
        size = _window(self._find()[1]) - 2
        stop = self._tokenizer.convert_tokens_to_ids(".")
        windows = [list(_windows(some, size, stop)) for some in pieces]
        long = sum(len(some) > 1 for some in windows)
        if long:
            _log.warning(
                "%d of %d reports are longer than %d wordpieces and were read in windows",
                long, len(todo), size + 2,
            )  # fmt: skip
        flat = [
            [self._tokenizer.cls_token_id, *window, self._tokenizer.sep_token_id]
            for some in windows
            for window in some
        ]
        codes = classify(self._network, flat, self._tokenizer.pad_token_id)
        ends = np.cumsum([len(some) for some in windows])
        of_text = {
            text: joined(codes[end - len(some) : end])
            for text, some, end in zip(todo, windows, ends, strict=True)
        }
        for row, text in zip(labels, plain, strict=True):
            if text:
                row[:] = of_text[text]
        return labels

    def _load(self) -> None:
        file, encoder = self._find()
        import torch
        from transformers import AutoTokenizer, BertConfig

        from harness.annotators.chexbert_model import load_network

        try:
            config = BertConfig.from_pretrained(str(encoder))
            tokenizer = AutoTokenizer.from_pretrained(str(encoder), use_fast=True)
        except (OSError, ValueError, TypeError) as error:
            raise NotEvaluable(
                f"{encoder}: no whole base encoder: {type(error).__name__}; fetch it anew"
            ) from None
        network = load_network(file, config)
        self._network = network.to("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = tokenizer

    def _find(self) -> tuple[Path, Path]:
        """The checkpoint, and the folder of its encoder's configuration and tokenizer."""
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise NotEvaluable('CheXbert needs torch and transformers: pip install "harness[models]"')
        file: Path | None = Path(self.path)
        if self.path.startswith(HUB):
            repository, _, name = self.path.removeprefix(HUB).rpartition("/")
            file = _fetched(repository, name)
        if file is None or not file.is_file():
            raise NotEvaluable(f"no CheXbert checkpoint at {self.path}.\n{_REMEDY}")
        beside = file.parent / "encoder" / "config.json"
        config = beside if beside.is_file() else _fetched(ENCODER, "config.json")
        if config is None:
            raise NotEvaluable(f"no base encoder for {self.path}.\n{_REMEDY}")
        return file, config.parent


def _fetched(repository: str, name: str) -> Path | None:
    """A file of a hub repository that was fetched before."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name)
    return Path(found) if isinstance(found, str) else None


def _window(encoder: Path) -> int:
    try:
        config: dict[str, Any] = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
        return int(config.get("max_position_embeddings", 512))
    except (OSError, ValueError, TypeError, AttributeError):
        raise NotEvaluable(f"{encoder / 'config.json'}: not a BERT's configuration; fetch it anew") from None


def _windows(pieces: Sequence[int], size: int, stop: int) -> Iterator[Sequence[int]]:
    """The pieces in windows of at most `size`, each up to the last full stop of its second half."""
    begin = 0
    while len(pieces) - begin > size:
        end = begin + size
        stops = [place for place in range(begin + size // 2, end) if pieces[place] == stop]
        end = stops[-1] + 1 if stops else end
        yield pieces[begin:end]
        begin = end
    if begin < len(pieces):
        yield pieces[begin:]
