"""A study -> pictures, prompt and token ids, as the model takes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.candidates.multimodal.config import IGNORED, MultimodalConfig, read_config
from harness.candidates.multimodal.prompts import (
    CUT,
    STANDARD,
    Instruction,
    context_lines,
    detected_line,
    prompt_text,
)
from harness.errors import CandidateError
from harness.pixels import read_pixels
from harness.report import Finding
from harness.study import Image, Study

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some prompts, with their reports where these were given.

    Shapes are (batch, sequence). Prompts alone are padded on the left, so that the answer follows
    at the end of each; prompts with reports on the right.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    """1 where there is a token, 0 where there is padding."""
    labels: torch.Tensor | None
    """The ids of the report and its end; -100 on prompt and padding."""
    truncated: tuple[bool, ...]
    """Where a report was longer than the context and ends early, without the token that ends it."""


class MultimodalProcessor:
    """Pictures, prompts and token ids for one checkpoint's model.

    Args:
        config: the checkpoint's.
        tokenizer: a Hugging Face tokenizer.

    Raises:
        CandidateError: the tokenizer does not go with the language model.
    """

    def __init__(self, config: MultimodalConfig, tokenizer: Any) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.context = context_length(config)
        self.eos = tokenizer.eos_token_id
        vocabulary = config.language.get("vocab_size")
        if isinstance(vocabulary, int) and len(tokenizer) > vocabulary:
            raise CandidateError(
                f"the tokenizer has {len(tokenizer)} tokens and the language model {vocabulary}; take both "
                "from the same checkpoint"
            )
        if self.eos is None:
            raise CandidateError("the tokenizer has no eos_token; a report could not end")
        ends = config.language.get("eos_token_id", self.eos)
        if self.eos not in (ends if isinstance(ends, list) else [ends]):
            raise CandidateError(
                f"the tokenizer ends a text with token {self.eos}, the language model with {ends}; set "
                "language.eos_token_id to the tokenizer's"
            )
        self.pad = self.eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @classmethod
    def from_pretrained(cls, directory: Path) -> MultimodalProcessor:
        """The processor of a checkpoint's folder.

        Raises:
            CandidateError: no configuration or tokenizer, or they do not go together.
        """
        return cls(read_config(directory), load_tokenizer(directory))

    # Pictures

    def chosen(self, study: Study) -> list[Image | None]:
        """The picture in each of the configured views' places: the first frontal, the first lateral.

        Raises:
            CandidateError: the study has no picture in any of them.
        """
        frontal = next((image for image in study.images if image.view.frontal), None)
        lateral = next((image for image in study.images if image.view.value == "LATERAL"), None)
        pictures = [frontal if view == "frontal" else lateral for view in self.config.views]
        if not any(pictures):
            raise CandidateError(
                f"the model needs a {' or '.join(self.config.views)} view; this study has none"
            )
        return pictures

    def pictures(
        self, study: Study, read: Callable[[Path, int], NDArray[np.float32]] = read_pixels
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Normalised pictures (V, 1, H, W), and which are there (V,); absent ones are 0.

        Args:
            study: any.
            read: file and side length -> grey values in [0, 1].

        Raises:
            CandidateError: the study has none of the views. harness.errors.CohortError: a picture
                cannot be read.
        """
        config, size = self.config, self.config.image_size
        pictures = self.chosen(study)
        planes = np.zeros((len(pictures), 1, size, size), dtype=np.float32)
        for place, picture in enumerate(pictures):
            if picture is not None:
                planes[place, 0] = (read(picture.path, size) - config.image_mean) / config.image_std
        return planes, np.array([picture is not None for picture in pictures])

    def images(self, study: Study) -> tuple[torch.Tensor, torch.Tensor]:
        """As `pictures`, as tensors: float32 and bool."""
        import torch

        planes, there = self.pictures(study)
        return torch.from_numpy(planes), torch.from_numpy(there)

    # Words

    def detected(self, probabilities: Sequence[float]) -> tuple[Finding, ...] | None:
        """What the head's 14 probabilities make the prompt name; None where it names nothing of them."""
        if not self.config.detections_in_prompt:
            return None
        pairs = zip(self.config.findings, probabilities, strict=True)
        return tuple(finding for finding, p in pairs if p >= self.config.threshold(finding))

    def prompt(
        self,
        study: Study,
        instruction: Instruction = STANDARD,
        detected: Collection[Finding] | None = None,
    ) -> str:
        """The prompt for a study. An indication too long for the context ends early, in "[cut]".

        What is kept free is `max_new_tokens`, but never more than half of what the pictures leave.

        Args:
            study: its pictures and context.
            instruction: what is asked.
            detected: findings to name as seen by the head; None: no word of them.

        Raises:
            CandidateError: even without an indication it does not fit, or the study has no picture.
        """
        pictures = self.chosen(study)
        views = [view for view, image in zip(self.config.views, pictures, strict=True) if image is not None]
        lines, indication = context_lines(study.context, views)
        if detected is not None:
            lines.append(detected_line(detected))
        whole = prompt_text(lines, indication, instruction)
        room = self._room()
        if room is None or len(self.ids(whole)) <= room:
            return whole
        words = indication.split()
        low, high = 0, len(words)  # the most words that fit, by bisection
        while low < high:
            middle = (low + high + 1) // 2
            text = prompt_text(lines, " ".join([*words[:middle], CUT]), instruction)
            low, high = (middle, high) if len(self.ids(text)) <= room else (low, middle - 1)
        text = prompt_text(lines, " ".join([*words[:low], CUT]), instruction)
        if len(self.ids(text)) > room:
            raise CandidateError(
                f"the instruction and context need {len(self.ids(text))} tokens and {room} are free beside "
                f"the pictures' {self.config.prefix_length}; shorten the question"
            )
        return text

    def _room(self) -> int | None:
        if self.context is None:
            return None
        free = self.context - self.config.prefix_length
        return free - min(self.config.max_new_tokens, free // 2)

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without any that mark its beginning or end.

        Words that look like the tokenizer's special tokens are words here.
        """
        found: list[int] = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return found

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, less special ones."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.strip()

    def prompt_ids(self, prompt: str, number: int = 0) -> list[int]:
        """Token ids of a prompt, with the one that begins a text where the tokenizer has it.

        Raises:
            CandidateError: the prompt is empty or does not fit; `number` is what it is called there.
        """
        if not prompt.strip():
            raise CandidateError(f"prompt {number} is empty; the model needs an instruction")
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        row, limit = [*bos, *self.ids(prompt)], self._limit()
        if limit is not None and len(row) >= limit:
            raise CandidateError(
                f"prompt {number} has {len(row)} tokens and {limit} are free beside the pictures; "
                "MultimodalProcessor.prompt shortens it"
            )
        return row

    def _limit(self) -> int | None:
        return None if self.context is None else self.context - self.config.prefix_length

    def encode(self, prompts: Sequence[str], reports: Sequence[str] | None = None) -> Encoded:
        """Token ids of prompts, and of the reports behind them.

        Prompt and report are tokenised apart, so that a prompt has the same ids with and without
        one. A report that does not fit in the context is cut, and said to be in `truncated`.

        Raises:
            CandidateError: an empty prompt or report, or a prompt that does not fit.
        """
        import torch

        if not prompts:
            raise CandidateError("no prompt")
        rows, answers, truncated = [], [], []
        limit = self._limit()
        for number, prompt in enumerate(prompts):
            row = self.prompt_ids(prompt, number)
            answer: list[int] = []
            if reports is not None:
                if not reports[number].strip():
                    raise CandidateError(f"report {number} is empty; leave the study out of training")
                answer = [*self.ids(reports[number]), self.eos]
            kept = answer if limit is None else answer[: limit - len(row)]
            rows.append(row)
            answers.append(kept)
            truncated.append(len(kept) < len(answer))
        width = max(len(row) + len(answer) for row, answer in zip(rows, answers, strict=True))
        ids = torch.full((len(rows), width), self.pad)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, IGNORED)
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            length = len(row) + len(answer)
            start = width - length if reports is None else 0
            ids[place, start : start + length] = torch.tensor(row + answer)
            mask[place, start : start + length] = 1
            if answer:
                labels[place, start + len(row) : start + length] = torch.tensor(answer)
        return Encoded(ids, mask, None if reports is None else labels, tuple(truncated))


def context_length(config: MultimodalConfig) -> int | None:
    """Positions of the language model, images included; None where it has no limit.

    Raises:
        CandidateError: the pictures alone fill it, or the language model is not known.
    """
    length = config.language.get("max_position_embeddings")
    if length is None:  # a model type may have another name for it
        from harness.candidates.multimodal.parts import language_config

        length = getattr(language_config(config.language), "max_position_embeddings", None)
    if length is not None and length < config.prefix_length + 2:
        raise CandidateError(
            f"the pictures need {config.prefix_length} tokens and the language model has {length} positions; "
            "larger patches, one view or a longer context would fit"
        )
    return None if length is None else int(length)


def load_tokenizer(directory: Path) -> Any:
    """The tokenizer of a folder.

    Raises:
        CandidateError: there is none, or it does not load.
    """
    from transformers import AutoTokenizer

    if not (directory / "tokenizer_config.json").is_file():
        raise CandidateError(f"{directory}: no tokenizer_config.json; save the tokenizer with the model")
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a damaged tokenizer makes the library raise
        first = str(error).strip().partition("\n")[0]
        raise CandidateError(f"{directory}: the tokenizer does not load: {first}") from None
