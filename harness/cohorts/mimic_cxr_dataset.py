"""MIMIC-CXR as arrays and tables, for those who train a model or look at the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.cohorts.mimic_cxr import MimicCxrCohort, Views
from harness.report import FINDINGS, State
from harness.study import Case

Item = TypeVar("Item", covariant=True)

_VALUES: Final = {
    State.POSITIVE: 1.0,
    State.NEGATIVE: 0.0,
    State.UNCERTAIN: -1.0,
    State.NOT_MENTIONED: np.nan,
}


class Lazy(Sequence[Item]):
    """A sequence whose items are read when asked for, and not kept."""

    def __init__(self, cohort: MimicCxrCohort, read: Callable[[Case], Item]) -> None:
        self._cohort = cohort
        self._read = read

    def __len__(self) -> int:
        return len(self._cohort)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} studies")
        return self._read(self._cohort[index % len(self)])

    def __iter__(self) -> Iterator[Item]:
        for index in range(len(self)):
            yield self[index]


class MimicCxrDataset(TypedDict):
    """What `load_mimic_cxr_dataset` returns; item i of each entry is of the same study."""

    images: Lazy[NDArray[np.float32]]
    """The pictures of study i, shape (views, size, size), values in [0, 1]."""
    reports: Lazy[str]
    """Findings and impression of study i."""
    labels: NDArray[np.float32]
    """Shape (N, 14), in the order of `FINDINGS`: 1 positive, 0 negative, -1 uncertain, NaN not
    mentioned (CheXpert's own convention)."""
    metadata: pd.DataFrame
    """study_id, patient_id, age, sex, race, view, indication; one row a study."""


def load_mimic_cxr_dataset(
    data_dir: str | Path,
    split: str | None = "train",
    *,
    views: Views = "frontal",
    image_size: int = 512,
    quiet: bool = False,
) -> MimicCxrDataset:
    """Opens one split of MIMIC-CXR-JPG and prints a summary of it.

    Pictures and reports stay on disk until they are indexed: `dataset["images"][7]`.

    Args:
        data_dir: the folder of MIMIC-CXR-JPG; see `MimicCxrCohort`.
        split: train, validate or test; None for all.
        views: "frontal", "pa+lateral" or "all".
        image_size: pixels along one side.
        quiet: print nothing.

    Raises:
        CohortError: the folder is not whole; see `MimicCxrCohort`.
    """
    cohort = MimicCxrCohort(Path(data_dir), split, views)

    def pixels(case: Case) -> NDArray[np.float32]:
        return np.stack([image.pixels(image_size) for image in case.study.images])

    labels = np.empty((len(cohort), len(FINDINGS)), dtype=np.float32)
    rows: list[dict[str, Any]] = []
    words = 0
    for index, case in enumerate(cohort):
        if case.reference.labels is not None:
            labels[index] = [_VALUES[State(code)] for code in case.reference.labels.tolist()]
        words += len(case.reference.text.split())
        context = case.study.context
        rows.append(
            {
                "study_id": case.study.study_id,
                "patient_id": case.patient_id,
                "age": context.age,
                "sex": context.sex.value if context.sex else None,
                "race": case.groups["race"],
                "view": case.groups["view"],
                "indication": context.indication,
            }
        )
    if not quiet:
        print(summary(cohort, labels, words / len(cohort)))
    return {
        "images": Lazy(cohort, pixels),
        "reports": Lazy(cohort, lambda case: case.reference.text),
        "labels": labels,
        "metadata": pd.DataFrame(rows),
    }


def summary(cohort: MimicCxrCohort, labels: NDArray[np.float32], mean_words: float) -> str:
    """Studies, patients, exclusions, label distribution and mean report length, as a text table."""
    patients = len(set(cohort.patient_ids()))
    lines = [
        f"{len(cohort):,} studies of {patients:,} patients ({cohort.eligible:,} eligible)",
        *(f"  left out: {item.studies:,} {item.reason}" for item in cohort.exclusions),
        f"mean report length {mean_words:.1f} words",
        f"{'finding':28}{'positive':>10}{'negative':>10}{'uncertain':>10}{'not mentioned':>15}",
    ]
    for column, finding in enumerate(FINDINGS):
        values = labels[:, column]
        counts = [int((values == number).sum()) for number in (1, 0, -1)] + [int(np.isnan(values).sum())]
        lines.append(f"{finding:28}{counts[0]:>10,}{counts[1]:>10,}{counts[2]:>10,}{counts[3]:>15,}")
    return "\n".join(lines)
