"""Numbers for the templates: looked up, entered in the register, marked with their entry's id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.printed import ABSENT, SUPPRESSED, Format, Numbers, value_of

if TYPE_CHECKING:
    from markupsafe import Markup

Path = Sequence[str | int]


class Cells:
    """What templates print numbers with; nothing numeric reaches a table past it."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def at(self, section: str) -> str:
        """Says in which section the next numbers stand; prints nothing."""
        self.numbers.section = section
        return ""

    def est(self, measure: str, value: str, slice: str | None, field: str, form: Format = "fixed4") -> Markup:
        """One field of an estimate."""
        return self._marked(_estimate(measure, value, slice, field), form)

    def est_range(self, measure: str, value: str, slice: str | None) -> Markup | str:
        """Its interval."""
        return self._range(
            _estimate(measure, value, slice, "low"), _estimate(measure, value, slice, "high"), "fixed4"
        )

    def est_counts(self, measure: str, value: str, slice: str | None) -> Markup | str:
        """Its numerator and denominator; a dash for what is no proportion."""
        return self._ratio(
            _estimate(measure, value, slice, "numerator"), _estimate(measure, value, slice, "denominator")
        )

    def dec(self, criterion: str, field: str, form: Format = "fixed4") -> Markup:
        """One field of a criterion's decision."""
        return self._marked({"kind": "decision", "criterion": criterion, "field": field}, form)

    def dec_range(self, criterion: str) -> Markup | str:
        """Its interval."""
        source = {"kind": "decision", "criterion": criterion}
        return self._range({**source, "field": "low"}, {**source, "field": "high"}, "fixed4")

    def dec_counts(self, criterion: str) -> Markup | str:
        """Its counts, or how many studies it rests on."""
        source = {"kind": "decision", "criterion": criterion}
        if self._value({**source, "field": "denominator"}) is None:
            return self._marked({**source, "field": "n_studies"}, "count")
        return self._ratio({**source, "field": "numerator"}, {**source, "field": "denominator"})

    def grp(self, criterion: str, group: str, field: str, form: Format = "fixed4") -> Markup:
        """One field of a group of a criterion over groups."""
        source = {"kind": "group-decision", "criterion": criterion, "group": group, "field": field}
        return self._marked(source, form)

    def grp_counts(self, criterion: str, group: str) -> Markup | str:
        """Its numerator and denominator."""
        source = {"kind": "group-decision", "criterion": criterion, "group": group}
        return self._ratio({**source, "field": "numerator"}, {**source, "field": "denominator"})

    def res(self, path: Path, form: Format = "count") -> Markup:
        """A value of results.json."""
        return self._marked({"kind": "results", "path": list(path)}, form)

    def ana(self, path: Path, form: Format = "count") -> Markup:
        """A value of analyses.json."""
        return self._marked({"kind": "analyses", "path": list(path)}, form)

    def ana_range(self, path: Path, form: Format = "fixed4") -> Markup | str:
        """The interval below a path of analyses.json: its `low` and `high`."""
        ends = [{"kind": "analyses", "path": [*path, end]} for end in ("low", "high")]
        return self._range(ends[0], ends[1], form)

    def ana_counts(self, path: Path) -> Markup | str:
        """`numerator` and `denominator` below a path of analyses.json."""
        ends = [{"kind": "analyses", "path": [*path, end]} for end in ("numerator", "denominator")]
        return self._ratio(ends[0], ends[1])

    def res_range(self, path: Path, form: Format = "fixed3") -> Markup | str:
        """The interval below a path of results.json."""
        ends = [{"kind": "results", "path": [*path, end]} for end in ("low", "high")]
        return self._range(ends[0], ends[1], form)

    def _value(self, source: dict[str, Any]) -> Any:
        return value_of(source, self.numbers.results, self.numbers.analyses)

    def _marked(self, source: dict[str, Any], form: Format) -> Markup:
        from markupsafe import Markup

        record = self.numbers.number(source, form)
        return Markup('<span data-number="{}">{}</span>').format(record["id"], record["text"])

    def _range(self, low: dict[str, Any], high: dict[str, Any], form: Format) -> Markup | str:
        value = self._value(low)
        if value in (None, SUPPRESSED):
            return ABSENT if value is None else SUPPRESSED
        return self._marked(low, form) + " to " + self._marked(high, form)

    def _ratio(self, numerator: dict[str, Any], denominator: dict[str, Any]) -> Markup | str:
        value = self._value(denominator)
        if value in (None, SUPPRESSED):
            return ABSENT if value is None else SUPPRESSED
        return self._marked(numerator, "count") + " / " + self._marked(denominator, "count")


def _estimate(measure: str, value: str, slice: str | None, field: str) -> dict[str, Any]:
    return {"kind": "estimate", "measure": measure, "value": value, "slice": slice, "field": field}
