"""What may be published: small groups of people suppressed, and what would give them away."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from harness.printed import SUPPRESSED

OLDEST: Final = 89
"""Single years of age above it identify (45 CFR 164.514(b)(2)(i)(C))."""
_AGE: Final = re.compile(r"\b(9\d|1[0-3]\d)(?=[ -]?(?:years?|yrs?|y\.?o\.?|yo)\b)", re.IGNORECASE)
_NUMBERS: Final = ("estimate", "low", "high", "numerator", "denominator", "n_studies", "n_patients")


def hidden(counts: Mapping[str, int], minimum: int) -> set[str]:
    """Which parts of a whole whose total is known must not be shown.

    A count from 1 to `minimum` - 1 is small. A single hidden part would follow from the total, and so
    would several whose sum is small: then the smallest of the others is hidden too, until what is
    hidden adds up to at least `minimum` in at least two parts. Zero is shown: nobody is in it.

    Args:
        counts: part -> how many people or studies; they add up to a published total.
        minimum: the smallest count that may be shown.
    """
    out = {name for name, count in counts.items() if 0 < count < minimum}
    rest = sorted(
        (name for name in counts if name not in out and counts[name] > 0), key=lambda n: (counts[n], n)
    )
    while out and rest and (len(out) < 2 or sum(counts[name] for name in out) < minimum):
        out.add(rest.pop(0))
    return out


def public_results(results: Mapping[str, Any], minimum: int) -> dict[str, Any]:
    """results.json with every small cell of every group replaced by "suppressed".

    In a group, a value is suppressed where its studies, patients, trials, successes or failures are
    few, and with it, so that the total gives nothing away, the smallest other group of that slice.
    Numbers of the whole cohort stay: they are what a summary is for, and describe no group of people.

    Args:
        results: as a run wrote them.
        minimum: the smallest count that may be shown.
    """
    public = copy.deepcopy(dict(results))
    groups = public["groups"]
    for name, counts in groups.items():
        for group in hidden(results["groups"][name], minimum):
            counts[group] = SUPPRESSED
    cells = _hidden_cells(results["estimates"], minimum)
    for item in public["estimates"]:
        if (item["measure"], item["value"], item["slice"]) in cells:
            _suppress(item)
        elif item["slice"] and "=" not in item["slice"]:  # a disparity names the groups that are too small
            item["method"] = item["method"].partition("; below the minimum")[0]
    for decision in public["verdict"]["decisions"]:
        if (decision["measure"], decision["value"], decision["slice"]) in cells:
            _suppress(decision)
        for group in decision["groups"]:
            if _touches(group["group"], cells, decision):
                _suppress(group)
    excluded = dict(results["flow"]["excluded"])
    gone = hidden(excluded, minimum)
    public["flow"]["excluded"] = [
        [reason, SUPPRESSED if reason in gone else count] for reason, count in excluded.items()
    ]
    if len(gone) == 1:  # the only reason there is: the total would tell
        public["flow"]["eligible"] = SUPPRESSED
    for finding, counts in results["labels"].items():
        for state in hidden(counts, minimum):
            public["labels"][finding][state] = SUPPRESSED
    return public


def public_analyses(analyses: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """analyses.json with the groups hidden that the public results hide.

    Args:
        analyses: as worked out.
        results: as `public_results` gave them.
    """
    public = copy.deepcopy(dict(analyses))
    for name, lines in public["population"].items():
        for item in lines:
            if results["groups"][name][item["group"]] == SUPPRESSED:
                item["studies"] = item["share"] = SUPPRESSED
    return public


def pooled_ages(text: str) -> str:
    """The text with every age above 89 as "over 89": the ages that text states in years."""
    return _AGE.sub(f"over-{OLDEST}", text)


def _hidden_cells(estimates: Iterable[Mapping[str, Any]], minimum: int) -> set[tuple[str, str, str]]:
    slices: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for item in estimates:
        name, sign, _ = (item["slice"] or "").partition("=")
        if sign:
            slices.setdefault((item["measure"], item["value"], name), {})[item["slice"]] = item
    cells = set()
    for (measure, value, _), groups in slices.items():
        out = {label for label, item in groups.items() if _small(item, minimum)}
        rest = sorted((label for label in groups if label not in out), key=lambda n: (_size(groups[n]), n))
        if len(out) == 1 and rest:
            out.add(rest[0])
        cells |= {(measure, value, label) for label in out}
    return cells


def _small(item: Mapping[str, Any], minimum: int) -> bool:
    counts = [item["n_studies"], item["n_patients"]]
    if item["denominator"] is not None:
        counts += [item["denominator"], item["numerator"], item["denominator"] - item["numerator"]]
    return any(0 < count < minimum for count in counts)


def _size(item: Mapping[str, Any]) -> int:
    return int(item["n_studies"] if item["denominator"] is None else item["denominator"])


def _touches(group: str, cells: set[tuple[str, str, str]], decision: Mapping[str, Any]) -> bool:
    """Whether a group of a criterion, or one of the two of a gap, is hidden."""
    own = {
        label
        for measure, value, label in cells
        if (measure, value) == (decision["measure"], decision["value"])
    }
    name, colon, pair = group.partition(": ")
    labels = [f"{name}={part}" for part in pair.split(" - ")] if colon else [group]
    return any(label in own for label in labels)


def _suppress(item: dict[str, Any]) -> None:
    for key in (*_NUMBERS, "bound"):
        if key in item:
            item[key] = SUPPRESSED
    if "bounds" in item:
        item["bounds"] = dict.fromkeys(item["bounds"], SUPPRESSED)
    if item.get("reason"):
        item["reason"] = SUPPRESSED
