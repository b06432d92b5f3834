"""A package's tokenizer, without transformers where the small library does the very same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import CandidateError


class FastTokenizer:
    """What `MultimodalProcessor` asks of a Hugging Face tokenizer, on `tokenizers` alone.

    Args:
        path: a `tokenizer.json`.
        size: of the vocabulary.
        bos: id that begins a text, if any.
        eos: id that ends it.
        pad: id that fills it up, if any.

    Raises:
        CandidateError: the file is damaged, or has another vocabulary.
    """

    def __init__(self, path: Path, size: int, bos: int | None, eos: int, pad: int | None) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise CandidateError(
                'a package needs tokenizers to run; pip install "harness[deployment]"'
            ) from None
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain exceptions
            raise CandidateError(f"{path}: the tokenizer does not load: {error}") from None
        if self._tokenizer.get_vocab_size() != size:
            raise CandidateError(
                f"{path}: has {self._tokenizer.get_vocab_size()} tokens and the manifest says {size}; "
                "export again"
            )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # words that look like special tokens are words
        self.bos_token_id, self.eos_token_id, self.pad_token_id = bos, eos, pad

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        """`{"input_ids": ids}` of one text, without special tokens."""
        return {"input_ids": list(self._tokenizer.encode(text, add_special_tokens=False).ids)}

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of ids."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=skip_special_tokens)
        return text
