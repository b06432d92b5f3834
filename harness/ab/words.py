"""The outcome in sentences a clinical lead reads without a statistician."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.ab.decide import Endpoint, Outcome
from harness.ab.design import EndpointName
from harness.status import Status

LABELS: Final[dict[EndpointName, str]] = {
    "rating": "Rating of drafts (1 to 5)",
    "edit_distance": "Words changed before signing",
    "critical_sensitivity": "Critical findings reported",
    "turnaround": "Turnaround",
}
_BETTER: Final = {
    "rating": "readers rated its drafts higher",
    "edit_distance": "its drafts needed fewer changes",
    "critical_sensitivity": "it reported more critical findings",
    "turnaround": "reports were signed sooner",
}
_WORSE: Final = {
    "rating": "readers rated its drafts lower",
    "edit_distance": "its drafts needed more changes",
    "critical_sensitivity": "it missed more critical findings",
    "turnaround": "reports were signed later",
}
_OF: Final = {
    "rating": "ratings",
    "edit_distance": "editing",
    "critical_sensitivity": "critical findings",
    "turnaround": "turnaround",
}


def amount(name: EndpointName, value: float | None, sign: bool = False) -> str:
    """A value in the endpoint's own unit; a dash where there is none."""
    if value is None:
        return "–"
    plus = "+" if sign else ""
    if name == "rating":
        text = f"{value:{plus}.2f}"
    elif name == "turnaround":
        text = f"{value:{plus}.1f} min"
    else:
        text = f"{100 * value:{plus}.1f}{' points' if sign else '%'}"
    return text.replace("-", "−")


def difference(item: Endpoint) -> str:
    """`+0.27 (+0.22 to +0.33)`."""
    if item.low is None or item.high is None:
        return amount(item.name, item.difference, sign=True)
    low, high = (amount(item.name, end, sign=True).partition(" ")[0] for end in (item.low, item.high))
    return f"{amount(item.name, item.difference, sign=True)} ({low} to {high})"


def margin(item: Endpoint) -> str:
    """The loss that would still do: `−0.20`."""
    return amount(item.name, -item.sign * item.margin, sign=True)


def against(item: Endpoint) -> str:
    """`(3.80 against 3.53)`."""
    return f"({amount(item.name, item.challenger)} against {amount(item.name, item.current)})"


def finding(item: Endpoint) -> str:
    """What was found of one endpoint, in a few words."""
    return {
        "better": "Better",
        "worse": "Worse",
        "worse by more than the margin": "Worse than the margin allows",
        "not worse": "Not worse",
        "open": "Not decided",
        "undefined": "Could not be judged",
    }[item.finding]


def because(item: Endpoint) -> str:
    """Why an endpoint was found so, without a p-value."""
    if item.finding == "undefined" or item.low is None or item.high is None:
        return f"{item.reason[0].upper()}{item.reason[1:]}."
    ends = [-item.sign * end for end in (item.low, item.high)]
    worst, least, allowed = max(ends), min(ends), amount(item.name, item.margin)
    if item.finding == "better":
        return f"A gain so large is hardly chance; at least {amount(item.name, -worst)} of it stands."
    if item.finding == "worse":
        return (
            f"A loss so large is hardly chance; at least {amount(item.name, max(0.0, least))} of it stands."
        )
    if item.finding == "worse by more than the margin":
        return f"At least {amount(item.name, least)} were lost; {allowed} may be."
    if item.status is Status.PASS:
        lost = "No loss" if worst <= 0 else f"No more than {amount(item.name, worst)} were lost"
        return f"{lost}; up to {allowed} may be. A gain is not shown."
    return (
        f"{item.reason[0].upper()}{item.reason[1:]}."
        if "missing" in item.reason
        else (
            f"Up to {amount(item.name, worst)} may have been lost; only {allowed} may be. "
            + ("There are too few critical findings to tell." if "not even" in item.reason else "")
        ).strip()
    )


def conclusion(outcome: Outcome) -> str:
    """One sentence."""
    name = outcome.design.arms.challenger
    if outcome.status is Status.PASS:
        better = [
            f"{_BETTER[item.name]} {against(item)}" for item in outcome.endpoints if item.finding == "better"
        ]
        safe = "and nothing was lost beyond its margin, critical findings included"
        return f"Promote {name}: {listed(better)}, {safe}."
    failed = [item for item in outcome.endpoints if item.status is Status.FAIL]
    failed.sort(key=lambda item: (item.finding == "open", item.name != "critical_sensitivity"))
    if outcome.status is Status.FAIL:
        if not failed:
            return f"Do not promote {name}: nothing was lost beyond its margin, but no gain was shown either."
        return f"Do not promote {name}: {listed([_against_it(item) for item in failed])}."
    # What speaks of patients' safety first.
    undecided = sorted(
        (item for item in outcome.endpoints if item.status is Status.NOT_EVALUATED),
        key=lambda item: item.name != "critical_sensitivity",
    )
    lost = [_OF[item.name] for item in undecided if item.finding == "open"]
    causes = [f"a loss beyond the margin cannot be excluded for {listed(lost)}"] if lost else []
    causes += [_against_it(item) for item in undecided if item.finding != "open"]
    broken = [item.name for item in outcome.checks if item.status is not Status.PASS]
    if broken:
        causes.append(
            f"the data do not pass {len(broken)} of {len(outcome.checks)} checks of the experiment itself"
        )
    if not causes:
        causes.append("nothing was shown to be better so far")
    more = "" if outcome.look.fraction >= 1 else " Go on to the planned number of studies."
    return f"No decision on {name}, which must not be promoted on these data: {listed(causes)}.{more}"


def _against_it(item: Endpoint) -> str:
    if item.finding in ("worse", "worse by more than the margin"):
        beyond = ", by more than the margin" if item.finding != "worse" else ""
        return f"{_WORSE[item.name]} {against(item)}{beyond}"
    if item.finding == "undefined":
        label = LABELS[item.name].partition(" (")[0].lower()
        return f"{label} could not be judged ({item.reason.partition(':')[0]})"
    return f"a loss beyond the margin cannot be excluded for {_OF[item.name]}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def cautions(outcome: Outcome) -> list[str]:
    """What the data do not show, for the page's last section and the terminal."""
    design = outcome.design
    found = []
    for part in outcome.heterogeneity:
        label = LABELS[part.endpoint].partition(" (")[0]
        whole = next(item for item in outcome.endpoints if item.name == part.endpoint)
        if part.p_value is not None and part.p_value < 0.01:
            differ = f"{part.by}s differ in what the challenger changes (p = {part.p_value:.2g})"
            found.append(f"{label}: {differ}; the average does not speak for each of them.")
        ends = [item.high if whole.sign > 0 else item.low for item in part.groups]
        against_it = sum(end is not None and whole.sign * end < 0 for end in ends)
        if against_it and whole.status is not Status.FAIL:
            worse = f"worse with the challenger for {against_it} of {len(part.groups)} {part.by}s"
            found.append(f"{label}: {worse} (95% interval, not adjusted for the number of groups).")
    if outcome.readers < 5:
        found.append(f"Few readers took part ({outcome.readers}); others may see it differently.")
    if not any(part.by == "site" for part in outcome.heterogeneity):
        found.append("The data name fewer than two sites; nothing is known of others.")
    if not design.blinded:
        found.append(
            "Readers knew, or could know, which model wrote the draft; ratings may follow what they expected."
        )
    found += [
        "Ratings are opinions on drafts. That patients fare better is not shown by them.",
        "Critical findings are those of the adjudicators; what they missed too is counted nowhere.",
        "Findings that are not on the design's list of critical ones were not judged for safety.",
        "Rare errors: fewer than about 3 in "
        f"{outcome.studies:,} studies may not have occurred here at all (rule of three, 95%).",
        "This is the comparison of two models. It does not replace the regulatory suite of the model itself.",
    ]
    return found
