"""The outcome in sentences a clinical lead reads without a statistician."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.ab.decide import Endpoint, Outcome
from harness.ab.design import EndpointName
from harness.ab.guards import NO_ALPHA, Guard
from harness.ab.robustness import Alternative, Group
from harness.status import Status

ORDINAL: Final = 0.05
"""Two-sided p below which ranks or odds that point the other way are told."""

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


def difference(item: Endpoint | Guard) -> str:
    """`+0.27 (+0.22 to +0.33)`."""
    name = _unit(item)
    if item.low is None or item.high is None:
        return amount(name, item.difference, sign=True)
    low, high = (amount(name, end, sign=True).partition(" ")[0] for end in (item.low, item.high))
    return f"{amount(name, item.difference, sign=True)} ({low} to {high})"


def margin(item: Endpoint | Guard) -> str:
    """The loss that would still do: `−0.20`; "none" where the design leaves it undecided."""
    if item.margin is None:
        return "none"
    return amount(_unit(item), -(1 if isinstance(item, Guard) else item.sign) * item.margin, sign=True)


def _unit(item: Endpoint | Guard) -> EndpointName:
    return "critical_sensitivity" if isinstance(item, Guard) else item.name


def estimate(item: Alternative) -> str:
    """An alternative's estimate on its own scale: `+0.22`, `odds × 1.84`, `rank +0.31`."""
    return _scaled(item, item.estimate)


def reach(item: Alternative) -> str:
    """Its interval, a dash where there is none."""
    if item.low is None or item.high is None:
        return "–"
    return f"{_scaled(item, item.low)} to {_scaled(item, item.high)}"


def _scaled(item: Alternative, value: float | None) -> str:
    if value is None:
        return "–"
    if item.scale == "difference":
        return amount(item.endpoint, value, sign=True)
    text = f"odds × {value:.2f}" if item.scale == "odds ratio" else f"rank {value:+.2f}"
    return text.replace("-", "−")


def against(item: Endpoint) -> str:
    """`(3.80 against 3.53)`."""
    return f"({amount(item.name, item.challenger)} against {amount(item.name, item.current)})"


def finding(item: Endpoint | Guard) -> str:
    """What was found of one endpoint or critical finding, in a few words."""
    return {
        "better": "Better",
        "worse": "Worse",
        "worse by more than the margin": "Worse than the margin allows",
        "not worse": "Not worse",
        "open": "Not decided",
        "undefined": "Could not be judged",
        "undecided": "Not decided by this trial",
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


def because_of(item: Guard) -> str:
    """Why a critical finding was found so."""
    if item.finding == "undefined" or item.low is None or item.high is None:
        return f"{item.reason[0].upper()}{item.reason[1:]}."
    worst, least = (amount("critical_sensitivity", max(0.0, -end)) for end in (item.low, item.high))
    if item.status is Status.FAIL:
        return f"A loss is shown: at least {least} of cases."
    if item.margin is None:
        return f"Left undecided by the design: a loss of up to {worst} of cases is not excluded."
    allowed = amount("critical_sensitivity", item.margin)
    if item.status is Status.PASS:
        return f"No more than {worst} of cases were lost; up to {allowed} may be."
    if "adjudicated" in item.reason:
        return "Within the margin only if studies without adjudication are left out: all were to have it."
    few = " There are too few cases to tell." if "not even" in item.reason else ""
    return f"Up to {worst} of cases may have been lost; only {allowed} may be.{few}"


def conclusion(outcome: Outcome) -> str:
    """One sentence; and another where a critical finding is not decided by the trial, or ranks disagree."""
    more = [*([left] if (left := undecided(outcome)) else []), *disagreements(outcome)]
    return " ".join([_conclusion(outcome), *more])


def undecided(outcome: Outcome) -> str:
    """That this trial does not decide some critical findings, which its design left so; "" where none."""
    left = [item for item in outcome.critical if not item.counts]
    if not left:
        return ""
    seen = [
        f"{item.name.value} ("
        + (
            "none seen"
            if item.finding == "undefined"
            else f"{_share(item.challenger, item.challenger_of)} reported against "
            f"{_share(item.current, item.current_of)}"
        )
        + ")"
        for item in left
    ]
    them = "it" if len(left) == 1 else "them"
    return f"By design this trial does not decide {listed(seen)}: a loss of {them} is not excluded."


def disagreements(outcome: Outcome) -> list[str]:
    """Where ratings taken as an order do not bear out what their mean says."""
    rating = next(item for item in outcome.endpoints if item.name == "rating")
    if rating.difference is None or rating.finding == "undefined":
        return []
    found = []
    for item in outcome.alternatives:
        if item.endpoint != "rating" or item.scale == "difference" or item.estimate is None:
            continue
        p = 1.0 if item.p_value is None else item.p_value
        gain = item.estimate - (1 if item.scale == "odds ratio" else 0)
        name = item.analysis.partition(",")[0]
        if gain * rating.difference < 0 and (p < ORDINAL or rating.finding == "better"):
            found.append(f"{name} points the other way ({estimate(item)})")
        elif rating.finding == "better" and not p < outcome.look.level:
            found.append(f"{name} does not show it ({estimate(item)})")
        elif rating.finding in ("not worse", "open") and gain < 0 and p < ORDINAL:
            found.append(f"{name} shows lower ratings ({estimate(item)})")
    if not found:
        return []
    said = "rose" if rating.difference > 0 else "fell" if rating.difference else "stayed"
    return [f"Ratings as an order disagree: their mean {said}, but {listed(found)}."]


def _conclusion(outcome: Outcome) -> str:
    name = outcome.design.arms.challenger
    if outcome.status is Status.PASS:
        better = [
            f"{_BETTER[item.name]} {against(item)}" for item in outcome.endpoints if item.finding == "better"
        ]
        guarded = [item.name.value for item in outcome.critical if item.margin is not None]
        safe = f"and nothing was lost beyond its margin, nor by itself any of {listed(guarded)}"
        if len(guarded) == 1:
            safe = f"and nothing was lost beyond its margin, nor {guarded[0]} by itself"
        return f"Promote {name}: {listed(better)}, {safe}."
    missed = [item for item in outcome.critical if item.status is Status.FAIL]
    failed = [item for item in outcome.endpoints if item.status is Status.FAIL]
    failed.sort(key=lambda item: (item.finding == "open", item.name != "critical_sensitivity"))
    if outcome.status is Status.FAIL:
        if not failed and not missed:
            return f"Do not promote {name}: nothing was lost beyond its margin, but no gain was shown either."
        names = [f"{item.name.value} {_found(item)}" for item in missed]
        against_it = [f"it missed more cases of {listed(names)}"] if missed else []
        return f"Do not promote {name}: {listed(against_it + [_against_it(item) for item in failed])}."
    # What speaks of patients' safety first.
    still_open = sorted(
        (item for item in outcome.endpoints if item.status is Status.NOT_EVALUATED),
        key=lambda item: item.name != "critical_sensitivity",
    )
    lost = [f"{item.name.value} {_found(item)}" for item in outcome.critical
            if item.counts and item.finding == "open" and item.reason != NO_ALPHA]  # fmt: skip
    lost += [_OF[item.name] for item in still_open if item.finding == "open" and item.reason != NO_ALPHA]
    causes = [f"a loss beyond the margin cannot be excluded for {listed(lost)}"] if lost else []
    if any(item.reason == NO_ALPHA for item in outcome.endpoints):
        causes.append(f"{NO_ALPHA} (look {outcome.look.number}, at {outcome.look.fraction:.0%})")
    unseen = [item.name.value for item in outcome.critical if item.counts and item.finding == "undefined"]
    causes += [f"no adjudicated case tells of {listed(unseen)}"] if unseen else []
    causes += [
        f"critical findings were lost with {part.by} {group.name} {_share_of(group)}"
        for part in outcome.heterogeneity
        for group in part.groups
        if group.harmed
    ]
    causes += [_against_it(item) for item in still_open if item.finding != "open"]
    broken = [item.name for item in outcome.checks if item.status is not Status.PASS]
    if broken:
        causes.append(
            f"the data do not pass {len(broken)} of {len(outcome.checks)} checks of the experiment itself"
        )
    if not causes:
        causes.append("nothing was shown to be better so far")
    seen = max(outcome.look.fractions, default=outcome.look.fraction)
    more = "" if seen >= 1 else " Go on to the planned number of studies."
    return f"No decision on {name}, which must not be promoted on these data: {listed(causes)}.{more}"


def _found(item: Guard) -> str:
    """`(2 of 12 against 12 of 12)`."""
    return f"({_share(item.challenger, item.challenger_of)} against {_share(item.current, item.current_of)})"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _share_of(group: Group) -> str:
    (old, new), (of_old, of_new) = group.missed or (0, 0), group.findings or (0, 0)
    return f"({_share(of_new - new, of_new)} against {_share(of_old - old, of_old)})"


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
    found = [line for line in (undecided(outcome), *disagreements(outcome)) if line]
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
