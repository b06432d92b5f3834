"""A multimodal checkpoint as a candidate."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.annotators.lexicon import shipped_lexicon
from harness.candidates.base import Candidate, ModelSize, count_tokens, phase
from harness.candidates.multimodal.prompts import TEMPLATES, Instruction
from harness.candidates.multimodal.structured import Box, structured_report
from harness.candidates.multimodal.writing import Written, write
from harness.data_files import data_path
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError, GenerationError
from harness.report import FINDINGS, Finding, Report
from harness.study import Study

if TYPE_CHECKING:
    import torch

    from harness.candidates.multimodal.explain import Explanation, Method
    from harness.candidates.multimodal.generation import Generated

_PACKAGE: Final = Path(__file__).parents[2]
_CODE: Final = (
    "candidates/multimodal/*.py",
    *(f"annotators/{name}.py" for name in ("attributes", "lexicon", "phrases", "rules", "scopes")),
    "deployment/pictures.py",
    "pixels.py",
    "report.py",
)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    images: torch.Tensor
    """(V, 1, H, W)."""
    view_mask: torch.Tensor
    """(V,)."""
    features: torch.Tensor
    """(1, V, 1 + patches, d_v)."""
    scores: dict[Finding, float]
    """The head's probabilities."""


class MultimodalCandidate(Candidate):
    """Reports written by a multimodal checkpoint, one study at a time.

    Args:
        path: the checkpoint's folder; the small one that was trained on phantoms, and that comes
            with the package, where it is left out.
        template: a reporting template, a name of `prompts.TEMPLATES`.
        detail: a level of detail, a name of `prompts.DETAILS`.
        question: a question about the pictures, answered in the Findings section, instead of a report.
        beams: of the beam search; the checkpoint's own setting where left out.
        device: such as cuda:0; a GPU where there is one, else the processor, where left out.

    Raises:
        CandidateError: an option that is not there, an empty question, fewer than one beam.
    """

    name = "multimodal"
    templates = tuple(TEMPLATES)

    def __init__(
        self,
        path: Path | None = None,
        template: str = "standard",
        detail: str = "standard",
        question: str | None = None,
        beams: int | str | None = None,
        device: str | None = None,
    ) -> None:
        self.path = path or data_path("checkpoints") / "phantom-multimodal"
        self.instruction = Instruction(template, detail, question)
        try:
            self.beams = None if beams is None else int(beams)
        except ValueError:
            raise CandidateError(f"beams must be a whole number, not {beams!r}") from None
        if self.beams is not None and self.beams < 1:
            raise CandidateError(f"beams must be 1 or more, not {self.beams}")
        self.device = device
        self._digest = ""
        self._loaded: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Workers load the weights themselves."""
        return {**self.__dict__, "_loaded": None, "_digest": ""}

    def with_template(self, template: str) -> MultimodalCandidate:
        """The same model, asked for another template; a question is not asked then.

        Raises:
            CandidateError: no such template.
        """
        instruction = Instruction(template, self.instruction.detail)
        other = object.__new__(type(self))  # not a copy, which would leave the loaded weights behind
        other.__dict__.update(self.__dict__, instruction=instruction)
        return other

    def digest(self) -> str:
        """Over weights, configuration, tokenizer, code and options.

        Raises:
            CandidateError: the folder is no checkpoint.
        """
        from harness.candidates.multimodal.checkpoints import checkpoint_digest

        files = sorted(path for pattern in _CODE for path in _PACKAGE.glob(pattern))
        instruction = self.instruction
        return digest_value(
            {
                "candidate": self.name,
                "checkpoint": checkpoint_digest(self.path),
                "code": [[path.relative_to(_PACKAGE).as_posix(), digest_file(path)] for path in files],
                "lexicon": shipped_lexicon().digest,
                "instruction": [instruction.template, instruction.detail, instruction.question],
                "beams": self.beams,
                "device": self.device,
            }
        )

    def prepare(self) -> None:
        """Loads the checkpoint.

        Raises:
            CandidateError: it does not load, or the device is not there.
        """
        if self._loaded is not None:
            return
        import torch

        from harness.candidates.multimodal.checkpoints import checkpoint_digest
        from harness.candidates.multimodal.model import RadiologyMultimodalModel
        from harness.candidates.multimodal.processor import MultimodalProcessor

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        processor = MultimodalProcessor.from_pretrained(self.path)
        try:
            model = RadiologyMultimodalModel.from_pretrained(self.path, device)
        except (RuntimeError, AssertionError) as error:  # what torch raises for a device it lacks
            first = str(error).strip().partition("\n")[0]
            raise CandidateError(f"device {device}: the model cannot be put there: {first}") from None
        self._digest = checkpoint_digest(self.path)
        self._loaded = model, processor

    def report(self, study: Study) -> Report:
        """One report.

        Raises:
            CandidateError: the study has none of the model's views, or its prompt does not fit.
            harness.errors.CohortError: a picture cannot be read.
            GenerationError: no memory is left, the model's numbers are NaN, or it wrote no words.
        """
        return self.reports([study])[0]

    def reports(self, studies: Sequence[Study]) -> list[Report]:
        """Reports of several studies, decoded together; each one's time is that of them all.

        Raises:
            As `report`, for any one of them.
        """
        began = time.perf_counter()
        with _memory_failures():
            asked = [self._asked(study) for study in studies]
            written = self._written(studies, asked)
            told = [self._told(*each) for each in zip(studies, asked, written, strict=True)]
        elapsed = (time.perf_counter() - began) * 1e3
        version = f"{self.path.name}-{self._digest[:12]}"
        return [
            report.model_copy(update={"processing_time_ms": elapsed, "model_version": version})
            for report in told
        ]

    def size(self) -> ModelSize:
        """From the weights file's header.

        Raises:
            CandidateError: the folder is no checkpoint.
        """
        from harness.candidates.multimodal.size import model_size

        return model_size(self.path, self.beams)

    def explain(self, study: Study, method: Method = "gradient") -> Explanation:
        """Where the model looked for each of the 14 findings and for each sentence of its text.

        Args:
            study: any.
            method: "gradient" or "attention", see `explain.Method`.

        Raises:
            As `report`.
        """
        from harness.candidates.multimodal import explain

        with _memory_failures():
            asked = self._asked(study)
            model, processor = self._loaded
            (written,) = self._written([study], [asked])
            place = explain.place_of(processor, study)
            size = model.config.image_size
            found = explain.finding_maps(model, asked.images, asked.view_mask, FINDINGS, place.slot, method)
            sentences = []
            for answer in written.answers:
                tokens = answer.generated.tokens
                told = [
                    (words, places)
                    for words, places in explain.sentence_tokens(processor, tokens, processor.decode(tokens))
                    if words in written.text  # a second answer changes the first
                ]
                drawn = explain.sentence_maps(
                    model,
                    asked.features,
                    asked.view_mask[None],
                    processor.encode([answer.prompt]).input_ids.to(model.device),
                    tokens,
                    [places for _, places in told],
                    place.slot,
                    method,
                )
                sentences += [
                    (words, explain.in_picture(map_, place, size))
                    for (words, _), map_ in zip(told, drawn, strict=True)
                ]
            return explain.Explanation(
                picture=place.picture,
                findings={f: explain.in_picture(map_, place, size) for f, map_ in found.items()},
                sentences=sentences,
                method=method,
            )

    def _asked(self, study: Study) -> _Asked:
        """A study's pictures, and what encoder and head make of them."""
        import torch

        self.prepare()
        model, processor = self._loaded
        with phase("preprocessing"):
            images, view_mask = processor.images(study)
        # Not inference mode: an explanation takes gradients through what follows.
        with phase("inference"), torch.no_grad():
            features = model.encode(images[None].to(model.device))
            scores = torch.sigmoid(model.detect(features, view_mask[None]))[0].tolist()
        return _Asked(images, view_mask, features, dict(zip(FINDINGS, scores, strict=True)))

    def _written(self, studies: Sequence[Study], asked: Sequence[_Asked]) -> list[Written]:
        import torch

        model, processor = self._loaded

        def generate(places: Sequence[int], prompts: Sequence[str]) -> list[Generated]:
            """The best beam for each."""
            chosen = [asked[place] for place in places]
            with phase("preprocessing"):
                encoded = processor.encode(prompts)
            with phase("decoding"):
                found: list[Generated] = model.generate(
                    None,
                    encoded.input_ids.to(model.device),
                    encoded.attention_mask.to(model.device),
                    view_mask=torch.stack([each.view_mask for each in chosen]),
                    vision_features=torch.cat([each.features for each in chosen]),
                    beams=self.beams,
                )
            seen = sum(int(each.view_mask.sum()) for each in chosen) * model.config.grid**2
            count_tokens(
                read=seen + int(encoded.attention_mask.sum()),
                written=sum(len(answer.tokens) + answer.finished for answer in found),
            )
            return found

        scores = [list(each.scores.values()) for each in asked]
        return write(processor, studies, self.instruction, scores, generate)

    def _told(self, study: Study, asked: _Asked, written: Written) -> Report:
        with phase("formatting"):
            return structured_report(
                f"multimodal-{study.study_id}",
                written.text,
                asked.scores,
                self._loaded[0].config,
                lambda findings: self._boxes(study, asked, findings),
                written.notes,
            )

    def _boxes(
        self,
        study: Study,
        asked: _Asked,
        findings: Sequence[Finding],
    ) -> Mapping[Finding, Box | None]:
        from harness.candidates.multimodal import explain

        model, processor = self._loaded
        place = explain.place_of(processor, study)
        if not place.first:  # a box would be read as one on the study's first picture
            return {}
        with phase("inference"):  # again, for gradients
            maps = explain.finding_maps(model, asked.images, asked.view_mask, findings, place.slot)
        size = model.config.image_size
        return {f: explain.box_of(explain.in_picture(map_, place, size)) for f, map_ in maps.items()}


@contextmanager
def _memory_failures() -> Iterator[None]:
    """One study that needs more memory than there is fails alone: what it held is given back."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch.OutOfMemoryError is a RuntimeError; on a processor the allocator raises a plain one.
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "memory" not in str(error):
            raise
        error.__traceback__ = None  # its frames hold the tensors
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise GenerationError(
            "out of memory on this study; a smaller picture or fewer beams need less"
        ) from None
