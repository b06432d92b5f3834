"""What a cohort is: an indexable source of cases, with an account of who was left out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from harness.report import FINDINGS, Finding
from harness.study import Case, case_record


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Studies left out for one reason; with the included they add up to the eligible."""

    reason: str
    studies: int


class Cohort(ABC):
    """Cases in the order of their study ids. Reading one case never loads the others' pixels."""

    name: ClassVar[str]

    labels_source: str
    """Where the reference labels come from, such as "phantom truth"; "none" where there are none."""
    covered: tuple[Finding, ...] = FINDINGS
    """The findings that the reference labels speak of."""
    eligible: int
    """Studies in the source before any was excluded."""
    exclusions: tuple[Exclusion, ...]

    @abstractmethod
    def __len__(self) -> int:
        """How many cases."""

    @abstractmethod
    def __getitem__(self, index: int) -> Case:
        """Case `index`, 0 <= index < len.

        Raises:
            harness.errors.CohortError: its files cannot be read.
        """

    @abstractmethod
    def study_ids(self) -> list[str]:
        """All study ids, sorted; none twice."""

    @abstractmethod
    def patient_ids(self) -> list[str]:
        """The patient of each study, in the same order."""

    def splits(self) -> list[str] | None:
        """The split of each study, in the same order; None where the cohort has none."""
        return None

    def __iter__(self) -> Iterator[Case]:
        for index in range(len(self)):
            yield self[index]


def case_digest(case: Case) -> str:
    """SHA-256 (hex) of what a run depends on in a case, picture files included."""
    digest = hashlib.sha256(json.dumps(case_record(case), sort_keys=True, ensure_ascii=True).encode())
    for image in case.study.images:
        with image.path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
