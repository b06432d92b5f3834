"""What a candidate is: anything that answers a study with a structured report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.candidates.timing import count_tokens, phase
from harness.errors import CandidateError
from harness.report import Report
from harness.study import Study

__all__ = ["Candidate", "ModelSize", "count_tokens", "phase"]


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large a model is: what an estimate of its speed elsewhere starts from."""

    encoder_parameters: int
    """Applied to every image token; the projection counts here."""
    encoder_tokens: int
    """Of one study, all views together."""
    language_parameters: int
    """Applied to every token read or written; input embeddings, which are looked up, do not count."""
    bytes_per_parameter: float
    """Of the language model: 4 for FP32, 2 for FP16, 1 for INT8."""
    beams: int = 1


class Candidate(ABC):
    """What is judged. It is given a `Study`, which holds no reference: cheating is a type error.

    Constructors must be cheap and picklable: the engine builds a candidate in each worker process.
    Load weights in `prepare`.
    """

    name: ClassVar[str]
    templates: ClassVar[tuple[str, ...]] = ()
    """The manners of reporting that `with_template` takes."""
    remote: ClassVar[bool] = False
    """Whether it answers somewhere else than in the process that asks it: nobody here can then measure on
    which device, and no limit on a device is decided."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 (hex) over everything that decides what it writes: weights, code, options."""

    def check(self, study_ids: Sequence[str]) -> None:  # noqa: B027 - most have nothing to check
        """Called once before a run with all ids that will be asked for.

        Raises:
            CandidateError: the candidate cannot be meant for these studies.
        """

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Called once in each worker, before the first study; its time is not a study's time."""

    @abstractmethod
    def report(self, study: Study) -> Report:
        """The report of one study. Anything raised here makes the study a failed, scored row.

        It may tell where its time goes: `with phase("preprocessing"): ...`, and `count_tokens`.
        """

    def afresh(self) -> Candidate:
        """The same candidate, whose every question is a new one: no remembered answer may be timed.

        Override it where something outside, such as a service, may know a question again.
        """
        return self

    def size(self) -> ModelSize | None:
        """How large the model is, before it is loaded; None where it does not tell."""
        return None

    def reports(self, studies: Sequence[Study]) -> list[Report]:
        """The reports of several studies, in order: the same as `report` would give one by one.

        Override it where several at once take less time than one after the other. Anything raised
        here makes the worker ask for each study alone.
        """
        return [self.report(study) for study in studies]

    def with_template(self, template: str) -> Candidate:
        """The same candidate, its loaded weights shared, reporting in one of `templates`.

        Raises:
            CandidateError: it has no such template.
        """
        known = ", ".join(self.templates) or "none"
        raise CandidateError(f"candidate {self.name} has no template {template!r}; it has {known}")


def takes_batches(candidate: Candidate) -> bool:
    """Whether several studies at once take it less time than one after the other."""
    return type(candidate).reports is not Candidate.reports
