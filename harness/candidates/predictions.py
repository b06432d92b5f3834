"""A file of reports that were written elsewhere, as a candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from harness.candidates.base import Candidate
from harness.digests import digest_file
from harness.errors import CandidateError
from harness.records import Record, RecordFile
from harness.report import Report
from harness.study import Study

_TEXTS: Final = ("report", "findings", "impression")


class PredictionsCandidate(Candidate):
    """Reports from a CSV or JSONL file, joined by study id; the order of rows does not matter.

    Each row has `study_id` and either `report` (a text), or `findings` and/or `impression`, or, in
    JSONL, `report` as an object with the fields of `harness.report.Report`.

    Args:
        path: the file.
        extra: "refuse" a file that holds studies which the run does not ask for (it may be the
            wrong file), or "allow" it.
    """

    name = "predictions"

    def __init__(self, path: Path, extra: Literal["refuse", "allow"] = "refuse") -> None:
        if extra not in ("refuse", "allow"):
            raise CandidateError(f"extra must be refuse or allow, not {extra}")
        self.path = path
        self.extra = extra
        self._file: RecordFile | None = None
        self._places: dict[str, int] = {}
        """Study id -> where its row begins."""

    def digest(self) -> str:
        """SHA-256 of the file."""
        if not self.path.is_file():
            raise CandidateError(f"{self.path}: no such file")
        return digest_file(self.path)

    def __getstate__(self) -> dict[str, Any]:
        """Workers read the file themselves."""
        return {"path": self.path, "extra": self.extra, "_file": None, "_places": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def prepare(self) -> None:
        """Reads the file through, and keeps where each row begins.

        Raises:
            CandidateError: a line that is not a row, no study id, no report column, or a study id
                twice; with the line.
        """
        if self._file is not None:
            return
        file = RecordFile(self.path, CandidateError)
        places: dict[str, int] = {}
        for line, place, row in file.scan():
            study = _study(row)
            if not study:
                raise CandidateError(f"{self.path}:{line}: no study_id")
            if study in places:
                first = next(number for number, _, other in file.scan() if _study(other) == study)
                raise CandidateError(f"{self.path}:{line}: study_id stands twice, first on line {first}")
            if not any(name in row for name in _TEXTS):
                raise CandidateError(
                    f"{self.path}:{line}: needs report, or findings and/or impression; it has "
                    f"{', '.join(row)}"
                )
            places[study] = place
        if not places:
            raise CandidateError(f"{self.path}: holds no prediction")
        self._file, self._places = file, places

    def check(self, study_ids: Sequence[str]) -> None:
        """Refuses a file that cannot be meant for these studies.

        Raises:
            CandidateError: no study in common, or studies that are not asked for.
        """
        self.prepare()
        given = self._places.keys()
        extra = len(given - set(study_ids))
        if extra == len(given):
            raise CandidateError(
                f"{self.path}: none of its {extra} study ids is in the cohort; is it the right file?"
            )
        if extra and self.extra == "refuse":
            raise CandidateError(
                f"{self.path}: {extra} of its {len(given)} predictions are for studies that the run "
                f"does not ask for; if that is meant: predictions:{self.path}?extra=allow"
            )

    def report(self, study: Study) -> Report:
        """The prediction for a study.

        Raises:
            CandidateError: there is none. pydantic.ValidationError: it is not a valid report.
        """
        self.prepare()
        place = self._places.get(study.study_id)
        if self._file is None or place is None:
            raise CandidateError("no prediction for this study")
        row = self._file.at(place)
        whole = row.get("report")
        if isinstance(whole, dict):
            return Report.model_validate({"report_id": study.study_id, **whole})
        return Report(
            report_id=study.study_id,
            findings_text=_words(whole if "report" in row else row.get("findings")),
            impression=_words(row.get("impression")),
        )


def _study(row: Record) -> str:
    return str(row.get("study_id") or "").strip()


def _words(value: Any) -> Any:
    # JSON has null and NaN for what is not there; anything else that is no text is not a report.
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
