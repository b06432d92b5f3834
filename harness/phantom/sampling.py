"""Which patients come, and what is wrong with them: seeded, one patient independent of the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np

from harness.phantom.scene import Certainty, Course, EdgeCase, Scene, Sign, Zone
from harness.report import FINDINGS, Finding, Laterality, Severity
from harness.study import Sex, View

RACES: Final = {"WHITE": 0.60, "BLACK/AFRICAN AMERICAN": 0.17, "HISPANIC OR LATINO": 0.07,
                "ASIAN": 0.05, "OTHER": 0.06, "UNKNOWN": 0.05}  # fmt: skip
"""Shares of MIMIC-IV's race categories, rounded."""

PREVALENCE: Final = {
    Finding.ENLARGED_CARDIOMEDIASTINUM: 0.05,
    Finding.CARDIOMEGALY: 0.17,
    Finding.LUNG_OPACITY: 0.12,
    Finding.LUNG_LESION: 0.20,
    Finding.EDEMA: 0.10,
    Finding.CONSOLIDATION: 0.10,
    Finding.PNEUMONIA: 0.08,
    Finding.ATELECTASIS: 0.18,
    Finding.PNEUMOTHORAX: 0.20,
    Finding.PLEURAL_EFFUSION: 0.17,
    Finding.PLEURAL_OTHER: 0.05,
    Finding.FRACTURE: 0.20,
    Finding.SUPPORT_DEVICES: 0.20,
}
"""Chance of each finding in one draw for a study that is not normal; an empty draw is drawn again.
The critical ones are enriched, so that a sensitivity above 98 % can be shown on 2,000 studies."""

NORMAL: Final = 0.30
FAINT: Final = 0.07

_SIDED: Final = {
    Finding.LUNG_OPACITY: 0.15,
    Finding.LUNG_LESION: 0.0,
    Finding.CONSOLIDATION: 0.1,
    Finding.PNEUMONIA: 0.1,
    Finding.ATELECTASIS: 0.35,
    Finding.PNEUMOTHORAX: 0.0,
    Finding.PLEURAL_EFFUSION: 0.3,
    Finding.PLEURAL_OTHER: 0.15,
    Finding.FRACTURE: 0.0,
}
"""Findings with a side, and the chance that they are on both."""

_ZONED: Final = {
    Finding.LUNG_OPACITY: (0.25, 0.3, 0.45),
    Finding.LUNG_LESION: (0.4, 0.3, 0.3),
    Finding.CONSOLIDATION: (0.25, 0.15, 0.6),
    Finding.PNEUMONIA: (0.2, 0.25, 0.55),
}

_FOCAL: Final = (Finding.LUNG_LESION, Finding.CONSOLIDATION, Finding.PNEUMONIA, Finding.LUNG_OPACITY)
_SIDES: Final = (Laterality.LEFT, Laterality.RIGHT)
_NO_SEVERITY: Final = (Finding.SUPPORT_DEVICES, Finding.PLEURAL_OTHER, Finding.PNEUMONIA)
PORTABLE_DEVICES: Final = ("endotracheal tube", "nasogastric tube", "central line")


@dataclass(frozen=True, slots=True)
class Visit:
    """One study of a patient and when it was made."""

    patient: int
    visit: int
    when: date
    scene: Scene


def patient_visits(seed: int, patient: int) -> Iterator[Visit]:
    """All studies of a patient, oldest first; a function of seed and patient number alone."""
    rng = np.random.default_rng([seed, 1, patient])
    paediatric = rng.random() < 0.05
    age = int(rng.integers(0, 18)) if paediatric else int(np.clip(rng.normal(61, 17), 18, 95))
    sex = Sex.FEMALE if rng.random() < 0.48 else Sex.MALE
    race = str(rng.choice(list(RACES), p=list(RACES.values())))
    edge = EdgeCase.NONE
    draw = rng.random()
    if not paediatric and draw < 0.055:
        edge = EdgeCase.POST_SURGICAL
    elif not paediatric and sex is Sex.FEMALE and draw < 0.165:  # breast implants
        edge = EdgeCase.IMPLANT
    first = date(2110, 1, 1) + timedelta(days=int(rng.integers(0, 365 * 80)))
    visits = 1 + int(rng.geometric(0.62) - 1)
    days, dates = 0, list[date]()
    for visit in range(min(visits, 4)):
        if visit:
            days += int(rng.integers(2, 400))
        dates.append(first + timedelta(days=days))
    for visit, when in enumerate(dates):
        own = np.random.default_rng([seed, 2, patient, visit])
        now = age + when.year - first.year  # as MIMIC-IV reckons from its anchor year
        case = EdgeCase.PAEDIATRIC if now < 18 else edge
        yield Visit(patient, visit, when, _scene(own, now, sex, race, case, tuple(dates[:visit])))


def _scene(
    rng: np.random.Generator,
    age: int,
    sex: Sex,
    race: str,
    edge: EdgeCase,
    priors: tuple[date, ...],
) -> Scene:
    views = ((View.PA, View.LATERAL), (View.AP,), (View.PA,))[rng.choice(3, p=[0.55, 0.30, 0.15])]
    found = set[Finding]()
    if rng.random() > NORMAL:
        while not found - {Finding.SUPPORT_DEVICES}:
            found = {finding for finding, chance in PREVALENCE.items() if rng.random() < chance}
        if Finding.EDEMA in found:  # heart failure brings its companions
            found |= {Finding.CARDIOMEGALY} if rng.random() < 0.6 else set()
            found |= {Finding.PLEURAL_EFFUSION} if rng.random() < 0.5 else set()
    if edge is EdgeCase.POST_SURGICAL or (View.AP in views and rng.random() < 0.35):
        found.add(Finding.SUPPORT_DEVICES)
    drawn = [
        _sign(rng, finding, View.AP in views, edge, bool(priors)) for finding in FINDINGS if finding in found
    ]
    return Scene(
        age=age,
        sex=sex,
        race=race,
        views=views,
        edge_case=edge,
        signs=unhidden(drawn),
        exposure=float(np.round(np.clip(rng.normal(0.95, 0.1), 0.6, 1.15), 3)),
        noise=float(np.round(np.clip(rng.gamma(4, 0.005), 0.005, 0.06), 4)),
        rotation=float(np.round(rng.normal(0, 1.2 if View.PA in views else 2.2), 2)),
        prior_studies=tuple(day.isoformat() for day in priors),
    )


def _sign(rng: np.random.Generator, finding: Finding, portable: bool, edge: EdgeCase, followed: bool) -> Sign:
    severity = None
    if finding not in _NO_SEVERITY:
        severity = list(Severity)[rng.choice(3, p=[0.4, 0.38, 0.22])]
    laterality = None
    if finding in _SIDED:
        sides = [Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL]
        both = _SIDED[finding]
        laterality = sides[rng.choice(3, p=[(1 - both) / 2, (1 - both) / 2, both])]
    zone = None
    if finding in _ZONED:
        zone = list(Zone)[rng.choice(3, p=_ZONED[finding])]
    kind = ""
    if finding is Finding.SUPPORT_DEVICES:
        if edge is EdgeCase.POST_SURGICAL:
            kind = "sternotomy wires"
        elif portable:
            kind = str(rng.choice(PORTABLE_DEVICES))
        else:
            kind = str(rng.choice(["pacemaker", "central line"], p=[0.7, 0.3]))
    elif finding is Finding.PLEURAL_OTHER:
        kind = "thickening"
    faint = finding is not Finding.SUPPORT_DEVICES and rng.random() < FAINT
    course = None
    if followed and rng.random() < 0.5:
        course = list(Course)[rng.choice(4, p=[0.3, 0.4, 0.15, 0.15])]
    certainty = Certainty.FAINT if faint else Certainty.CLEAR
    return Sign(finding, severity, laterality, zone, certainty, course, kind)


def unhidden(signs: Sequence[Sign]) -> tuple[Sign, ...]:
    """The signs, moved so that none lies where another would hide it, in the order of `FINDINGS`.

    A truth that states a finding the pixels do not carry would count misses that nobody could
    avoid. Air takes the top of a lung and fluid its base; focal signs share the zones that are left,
    lesions choosing first. One that finds no room on either side is left out.
    """
    kept = {sign.finding: sign for sign in signs}
    effusion, heart = kept.get(Finding.PLEURAL_EFFUSION), kept.get(Finding.CARDIOMEGALY)
    if effusion and heart and effusion.severity is Severity.SEVERE:  # would cover the heart's edge
        kept[effusion.finding] = replace(effusion, severity=Severity.MODERATE)
    air, rind = kept.get(Finding.PNEUMOTHORAX), kept.get(Finding.PLEURAL_OTHER)
    if air and rind and rind.laterality in (air.laterality, Laterality.BILATERAL):
        kept[rind.finding] = replace(rind, laterality=_other(air.laterality))
    taken: set[tuple[Laterality, Zone | None]] = {
        (side, zone)
        for finding, end in ((Finding.PNEUMOTHORAX, Zone.UPPER), (Finding.PLEURAL_EFFUSION, Zone.LOWER))
        if (sign := kept.get(finding))
        for side in _sides(sign.laterality)
        for zone in ((end, Zone.MIDDLE) if sign.severity is Severity.SEVERE else (end,))
    }
    for finding in _FOCAL:
        if (sign := kept.pop(finding, None)) is None:
            continue
        for place in _places(sign):
            cells = {(side, place.zone) for side in _sides(place.laterality)}
            if not cells & taken:
                kept[finding] = place
                taken |= cells
                break
    return tuple(kept[finding] for finding in FINDINGS if finding in kept)


def _places(sign: Sign) -> Iterator[Sign]:
    """Where a focal sign may lie, the preferred place first."""
    zones = sorted(Zone, key=lambda zone: zone is not sign.zone)
    sides = [sign.laterality]
    sides += list(_SIDES) if sign.laterality is Laterality.BILATERAL else [_other(sign.laterality)]
    for side in sides:
        for zone in zones:
            yield replace(sign, laterality=side, zone=zone)


def _sides(laterality: Laterality | None) -> tuple[Laterality, ...]:
    return (laterality,) if laterality in _SIDES else _SIDES


def _other(side: Laterality | None) -> Laterality:
    return Laterality.LEFT if side is Laterality.RIGHT else Laterality.RIGHT
