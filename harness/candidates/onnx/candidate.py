"""An exported package as a candidate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.annotators.lexicon import shipped_lexicon
from harness.candidates.base import Candidate, ModelSize, count_tokens, phase
from harness.candidates.multimodal.beams import Generated
from harness.candidates.multimodal.prompts import TEMPLATES, Instruction
from harness.candidates.multimodal.structured import Box, structured_report
from harness.candidates.multimodal.writing import write
from harness.candidates.onnx.model import OnnxModel, vision_graph
from harness.candidates.onnx.sessions import choose_provider
from harness.deployment.manifest import read_package
from harness.deployment.pictures import read_picture
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError, GenerationError
from harness.report import FINDINGS, Finding, Report
from harness.study import Study

_BYTES: Final = {"fp32": 4.0, "fp16": 2.0, "int8": 1.0}
_PACKAGE: Final = Path(__file__).parents[2]
_CODE: Final = (
    "candidates/onnx/*.py",
    *(
        f"candidates/multimodal/{name}.py"
        for name in ("beams", "processor", "prompts", "sections", "structured", "writing")
    ),
    *(f"annotators/{name}.py" for name in ("attributes", "lexicon", "phrases", "rules", "scopes")),
    "deployment/pictures.py",
    "pixels.py",
    "report.py",
)


class OnnxCandidate(Candidate):
    """Reports written by a package of `harness export`, with onnxruntime and without torch.

    The same search, prompt and structured form as the multimodal candidate's, but no boxes: they
    come from gradients, which an exported graph does not have.

    Args:
        path: the package's folder.
        provider: tensorrt, cuda or cpu; the best that starts on this machine where left out.
        vision: fp16 or fp32, where the package has both; what suits the provider where left out.
        template: a reporting template, a name of `prompts.TEMPLATES`.
        detail: a level of detail, a name of `prompts.DETAILS`.
        question: a question about the pictures, instead of a report.
        beams: of the beam search; the checkpoint's own setting where left out.

    Raises:
        CandidateError: an option that is not there, an empty question, fewer than one beam.
    """

    name = "onnx"
    templates = tuple(TEMPLATES)

    def __init__(
        self,
        path: Path,
        provider: str = "auto",
        vision: str | None = None,
        template: str = "standard",
        detail: str = "standard",
        question: str | None = None,
        beams: int | str | None = None,
    ) -> None:
        self.path = path
        self.provider = provider
        self.vision = vision
        self.instruction = Instruction(template, detail, question)
        try:
            self.beams = None if beams is None else int(beams)
        except ValueError:
            raise CandidateError(f"beams must be a whole number, not {beams!r}") from None
        if self.beams is not None and self.beams < 1:
            raise CandidateError(f"beams must be 1 or more, not {self.beams}")
        self._model: OnnxModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Workers load the graphs themselves."""
        return {**self.__dict__, "_model": None}

    def with_template(self, template: str) -> OnnxCandidate:
        """The same model, asked for another template; a question is not asked then.

        Raises:
            CandidateError: no such template.
        """
        instruction = Instruction(template, self.instruction.detail)
        other = object.__new__(type(self))  # not a copy, which would leave the loaded weights behind
        other.__dict__.update(self.__dict__, instruction=instruction)
        return other

    def digest(self) -> str:
        """Over the package, the provider and precision it runs with, code and options.

        Raises:
            CandidateError: the folder is no whole package, or the provider is not there. A provider
                found here is the one that the workers must find.
        """
        manifest = read_package(self.path)
        provider = choose_provider(self.provider, self.path / manifest.vision[0].file)
        self.provider = _option(provider)
        graph = vision_graph(manifest, provider, self.vision)
        files = sorted(path for pattern in _CODE for path in _PACKAGE.glob(pattern))
        instruction = self.instruction
        return digest_value(
            {
                "candidate": self.name,
                "package": manifest.digest(),
                "provider": provider,
                "vision": graph.precision,
                "code": [[path.relative_to(_PACKAGE).as_posix(), digest_file(path)] for path in files],
                "lexicon": shipped_lexicon().digest,
                "instruction": [instruction.template, instruction.detail, instruction.question],
                "beams": self.beams,
            }
        )

    def prepare(self) -> None:
        """Loads the package.

        Raises:
            CandidateError: it is no whole package, or the provider is not there.
        """
        if self._model is None:
            self._model = OnnxModel(self.path, self.provider, self.vision)

    def size(self) -> ModelSize:
        """From the sizes of the graphs' files, which are nearly all weights.

        Raises:
            CandidateError: the folder is no whole package, or the provider is not there.
        """
        manifest = read_package(self.path)
        provider = choose_provider(self.provider, self.path / manifest.vision[0].file)
        vision, language = vision_graph(manifest, provider, self.vision), manifest.language
        config = manifest.config
        return ModelSize(
            encoder_parameters=int(vision.size / _BYTES[vision.precision]),
            encoder_tokens=len(config.views) * (1 + config.grid**2),
            language_parameters=int(language.size / _BYTES[language.precision]),
            bytes_per_parameter=_BYTES[language.precision],
            beams=config.beams if self.beams is None else self.beams,
        )

    def report(self, study: Study) -> Report:
        """One report.

        Raises:
            CandidateError: the study has none of the model's views, or its prompt does not fit.
            harness.errors.CohortError: a picture cannot be used; see `deployment.pictures`.
            GenerationError: no memory is left, the model's numbers are NaN, or it wrote no words.
        """
        began = time.perf_counter()
        self.prepare()
        assert self._model is not None  # noqa: S101  # prepare raises otherwise
        model, processor = self._model, self._model.processor
        with phase("preprocessing"):
            planes, there = processor.pictures(study, read_picture)
        try:
            with phase("inference"):
                tokens, counted, logits = model.encode(planes, there)
                scores = probabilities(logits)
            seen = int(counted.sum())

            def generate(_: Sequence[int], prompts: Sequence[str]) -> list[Generated]:
                """The best beam."""
                with phase("preprocessing"):
                    ids = np.array([processor.prompt_ids(prompt) for prompt in prompts], dtype=np.int64)
                with phase("decoding"):
                    answer = model.generate(tokens, counted, ids, self.beams)
                count_tokens(read=seen + ids.shape[1], written=len(answer.tokens) + answer.finished)
                return [answer]

            (written,) = write(processor, [study], self.instruction, [scores], generate)
        except Exception as error:  # onnxruntime has an exception class for each of its codes
            if isinstance(error, MemoryError) or "allocate" in str(error):
                raise GenerationError("out of memory on this study; fewer beams need less") from None
            raise
        with phase("formatting"):
            report = structured_report(
                f"onnx-{study.study_id}",
                written.text,
                dict(zip(FINDINGS, scores, strict=True)),
                model.config,
                _no_boxes,
                written.notes,
            )
        elapsed = (time.perf_counter() - began) * 1e3
        return report.model_copy(update={"processing_time_ms": elapsed, "model_version": version(model)})


def version(model: OnnxModel) -> str:
    """Which package on which provider, such as `onnx-phantom-0f3a…-vision-fp32-language-int8-cpu`."""
    manifest = model.manifest
    return (
        f"onnx-{manifest.source_name}-{manifest.digest()[:12]}-vision-{model.graph.precision}"
        f"-language-{manifest.language.precision}-{_option(model.provider)}"
    )


def probabilities(logits: Any) -> list[float]:
    """Logits (14,) of the findings as probabilities in [0, 1]."""
    values = np.asarray(logits, dtype=np.float32)
    with np.errstate(over="ignore"):
        found: list[float] = (1 / (1 + np.exp(-values))).tolist()
    return found


def _option(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider").lower()


def _no_boxes(findings: Sequence[Finding]) -> dict[Finding, Box | None]:
    return {}
