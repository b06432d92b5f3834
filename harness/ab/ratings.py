"""Ratings of two models' drafts, checked row by row against the design."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.ab.design import Columns, Design
from harness.ab.export import Export, read_export
from harness.digests import canonical_json, digest_value
from harness.errors import CohortError
from harness.report import Finding

SHOWN: Final = 12
"""So many problems are printed; the rest are counted."""
OPTIONAL: Final = ("turnaround", "drafted_at", "finalised_at", "site", "arm_guess")

UNSURE: Final = 2
"""A guess that is none: the reader was asked and had no idea."""

Findings = frozenset[Finding]


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Rows in the order of study, reader and arm, whatever the order of the file."""

    study: NDArray[np.str_]
    """Shape (n,), as all that follow."""
    patient: NDArray[np.str_]
    reader: NDArray[np.str_]
    site: NDArray[np.str_]
    """"" where the data name none."""
    challenger: NDArray[np.bool_]
    rating: NDArray[np.float64]
    """1 to 5, NaN where missing."""
    turnaround: NDArray[np.float64]
    """Minutes, NaN where missing."""
    draft: tuple[str, ...]
    final: tuple[str, ...]
    """"" where missing."""
    present: tuple[Findings | None, ...]
    """Critical findings by adjudication; None where the study was not adjudicated."""
    reported: tuple[Findings | None, ...]
    guess: NDArray[np.int8]
    """1: taken for the challenger's, 0: for the current model's, `UNSURE`: no idea, -1: nobody asked."""
    guessed: bool
    """Whether the data have a column of guesses at all."""

    def __len__(self) -> int:
        return len(self.study)

    def digest(self) -> str:
        """SHA-256 of all rows; the order of the file's rows does not count."""
        rows = [
            [*map(str, (self.study[i], self.patient[i], self.reader[i], self.site[i])),
             bool(self.challenger[i]), str(self.rating[i]), str(self.turnaround[i]), self.draft[i],
             self.final[i], *(None if found is None else sorted(found)
                              for found in (self.present[i], self.reported[i])), int(self.guess[i])]
            for i in range(len(self))
        ]  # fmt: skip
        return digest_value(sorted(map(canonical_json, rows)))


def read_ratings(path: Path, design: Design) -> Ratings:
    """Reads an export by the design's names of columns.

    Raises:
        CohortError: every problem with file, line and remedy, and no cell that might name a patient.
    """
    export = read_export(path)
    columns = design.columns
    _check_columns(export, columns)
    problems: list[tuple[int, str]] = []
    parser = _Parser(export, design, problems)
    rows = [parser.row(place) for place in range(len(export.rows))]
    if not problems:
        _check_together(rows, design, export, problems)
    if problems:
        problems.sort()
        told = [f"{export.place(place)}: {what}" for place, what in problems[:SHOWN]]
        if len(problems) > SHOWN:
            told.append(f"{path}: and {len(problems) - SHOWN:,} more problems; nothing was judged")
        raise CohortError("\n".join(told))
    for arm, name in ((False, design.arms.current), (True, design.arms.challenger)):
        if not any(row["challenger"] is arm for row in rows):
            raise CohortError(
                f"{path}: no row of arm {name}; both arms are needed: check column {columns.arm} and the "
                "design's arms"
            )
    rows.sort(key=lambda row: (row["study"], row["reader"], row["challenger"]))

    def column(name: str, kind: Any) -> Any:
        return np.array([row[name] for row in rows], dtype=kind)

    return Ratings(
        study=column("study", str), patient=column("patient", str), reader=column("reader", str),
        site=column("site", str), challenger=column("challenger", bool), rating=column("rating", float),
        turnaround=column("turnaround", float), draft=tuple(row["draft"] for row in rows),
        final=tuple(row["final"] for row in rows), present=tuple(row["present"] for row in rows),
        reported=tuple(row["reported"] for row in rows), guess=column("guess", np.int8),
        guessed=columns.arm_guess in export.header,
    )  # fmt: skip


def _check_columns(export: Export, columns: Columns) -> None:
    problems = []
    for ours in Columns.model_fields:
        theirs = getattr(columns, ours)
        if theirs in export.header or ours in OPTIONAL:
            continue
        near = difflib.get_close_matches(theirs, export.header, n=1)
        hint = f"is it {near[0]}?" if near else f"there: {', '.join(export.header[:16])}"
        problems.append(f"{export.path}:1: no column {theirs} ({hint}); map it in the design: columns.{ours}")
    clocks = [columns.drafted_at in export.header, columns.finalised_at in export.header]
    if columns.turnaround not in export.header and not all(clocks):
        problems.append(
            f"{export.path}:1: no column {columns.turnaround}, nor both {columns.drafted_at} and "
            f"{columns.finalised_at}; map them in the design: columns.turnaround"
        )
    if problems:
        raise CohortError("\n".join(problems))


class _Parser:
    def __init__(self, export: Export, design: Design, problems: list[tuple[int, str]]) -> None:
        self._export, self._design, self._problems = export, design, problems
        self._findings = {finding.lower(): finding for finding in design.findings}
        self._arms = {design.arms.current: False, design.arms.challenger: True}

    def row(self, place: int) -> dict[str, Any]:
        columns, cells = self._design.columns, self._export.rows[place]

        def cell(ours: str) -> str:
            return cells.get(getattr(columns, ours), "")

        def tell(ours: str, what: str) -> None:
            self._problems.append((place, f"{getattr(columns, ours)} {what}"))

        row: dict[str, Any] = {
            "place": place,
            "site": cell("site"),
            "draft": cell("draft"),
            "final": cell("final"),
        }
        for ours in ("study", "patient", "reader"):
            row[ours] = cell(ours)
            if not row[ours]:
                tell(ours, "is blank; every row needs one")
        row["challenger"] = self._arms.get(cell("arm"))
        if row["challenger"] is None:
            tell("arm", f"is neither {' nor '.join(self._arms)}; name both arms in the design: arms")
        row["rating"] = _rating(cell("rating"), tell)
        row["turnaround"] = self._turnaround(cell, tell)
        row["present"] = self._critical("critical_present", cell, tell)
        row["reported"] = self._critical("critical_reported", cell, tell)
        if bool(cell("critical_present")) != bool(cell("critical_reported")):
            blank = "critical_reported" if cell("critical_present") else "critical_present"
            tell(blank, 'is blank beside an adjudicated one; write "none" where there is no finding')
        guess = cell("arm_guess")
        row["guess"] = -1 if not guess else {"unsure": UNSURE, **self._arms}.get(guess)
        if row["guess"] is None:
            tell("arm_guess", f"is neither {' nor '.join(self._arms)} nor unsure nor blank")
        return row

    def _critical(
        self, ours: str, cell: Callable[[str], str], tell: Callable[[str, str], None]
    ) -> Findings | None:
        text = cell(ours)
        if not text:
            return None
        if text.lower() == "none":
            return frozenset()
        found = set()
        for part in filter(None, (part.strip().lower() for part in text.split(";"))):
            if part not in self._findings:
                known = ", ".join(self._findings.values())
                tell(ours, f"holds what is no critical finding of the design ({known}); "
                           'separate them by semicolons, write "none" for none')  # fmt: skip
                return None
            found.add(self._findings[part])
        return frozenset(found)

    def _turnaround(self, cell: Callable[[str], str], tell: Callable[[str, str], None]) -> float:
        minutes = math.nan
        begin, end = (self._time(ours, cell, tell) for ours in ("drafted_at", "finalised_at"))
        if begin is not None and end is not None:
            if (begin.tzinfo is None) != (end.tzinfo is None):
                tell("finalised_at", "has a time zone on one side only; give both the same")
                return math.nan
            minutes = (end - begin).total_seconds() / 60
            if minutes < 0:
                tell(
                    "finalised_at", "lies before the draft: the clock goes back; correct it or leave it blank"
                )
                return math.nan
        text = cell("turnaround")
        if not text:
            return minutes
        try:
            given = float(text)
        except ValueError:
            given = math.nan
        if not math.isfinite(given):
            tell("turnaround", "is no finite number of minutes; leave it blank where it is missing")
        elif given < 0:
            tell("turnaround", f"is {given:g} minutes: the clock goes back; correct it or leave it blank")
        return given

    @staticmethod
    def _time(ours: str, cell: Callable[[str], str], tell: Callable[[str, str], None]) -> datetime | None:
        text = cell(ours)
        if not text:
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            tell(ours, "is no ISO 8601 time, such as 2026-01-31T14:05:00")
            return None


def _rating(text: str, tell: Callable[[str, str], None]) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value not in (1, 2, 3, 4, 5):
        is_number = f"is {value:g}, but" if math.isfinite(value) else "is no number;"
        tell(
            "rating",
            f"{is_number} a rating is a whole number from 1 to 5; leave it blank where it is missing",
        )
    return value


def _check_together(
    rows: Sequence[dict[str, Any]], design: Design, export: Export, problems: list[tuple[int, str]]
) -> None:
    """What rows must agree on, each problem told at the later row."""
    columns, randomised = design.columns, design.design == "randomised"
    first: dict[tuple[Any, ...], dict[str, Any]] = {}

    def earlier(row: dict[str, Any], *key: Any) -> dict[str, Any] | None:
        found = first.setdefault(key, row)
        return None if found is row else found

    def tell(row: dict[str, Any], other: dict[str, Any], what: str) -> None:
        problems.append((row["place"], what.format(f"line {export.lines[other['place']]}")))

    for row in rows:
        study, patient, arm = row["study"], row["patient"], row["challenger"]
        if (other := earlier(row, "row", study, row["reader"], arm)) is not None:
            tell(
                row,
                other,
                f"the same {columns.study}, {columns.arm} and {columns.reader} as {{}}; keep one row",
            )
        if (other := earlier(row, "owner", study)) is not None and other["patient"] != patient:
            tell(
                row,
                other,
                f"another {columns.patient} for the {columns.study} of {{}}; a study has one patient",
            )
        if randomised and (other := earlier(row, "arm", patient)) is not None and other["challenger"] != arm:
            tell(row, other, f"a {columns.patient} in both arms (see {{}}), but the design is randomised; "
                             "remove the patient from the arm that `harness ab assign` did not give, "
                             "or declare design: paired")  # fmt: skip
        for ours, key in (("present", ("present", study)), ("reported", ("reported", study, arm)),
                          ("draft", ("draft", study, arm))):  # fmt: skip
            if row[ours] is None:
                continue
            if (other := earlier(row, *key)) is not None and other[ours] != row[ours]:
                column = columns.draft if ours == "draft" else getattr(columns, f"critical_{ours}")
                whose = "study" if ours == "present" else "draft"
                tell(
                    row,
                    other,
                    f"{column} differs from {{}}, for the same {whose}; enter one for all its readers",
                )
