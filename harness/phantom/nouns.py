"""Noun phrases of phantom reports: what each finding is called, and their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from harness.phantom.graph import Entity, Piece, Presence
from harness.phantom.scene import Sign, Zone
from harness.report import Finding, Laterality, Severity

PRESENT: Final[Presence] = "definitely present"
ABSENT: Final[Presence] = "definitely absent"
UNSURE: Final[Presence] = "uncertain"
_SIZE: Final = {
    Severity.MILD: ("small", "tiny", "trace", "minimal"),
    Severity.MODERATE: ("moderate", "moderate-sized"),
    Severity.SEVERE: ("large", "very large"),
}
_DEGREE: Final = {
    Severity.MILD: ("mild", "minimal", "slight"),
    Severity.MODERATE: ("moderate",),
    Severity.SEVERE: ("severe", "marked"),
}
ADVERB: Final = {
    Severity.MILD: "mildly",
    Severity.MODERATE: "moderately",
    Severity.SEVERE: "markedly",
}
_LOBES: Final = {
    (Laterality.RIGHT, Zone.UPPER): ("right", "upper", "lobe"),
    (Laterality.RIGHT, Zone.MIDDLE): ("right", "middle", "lobe"),
    (Laterality.RIGHT, Zone.LOWER): ("right", "lower", "lobe"),
    (Laterality.LEFT, Zone.UPPER): ("left", "upper", "lobe"),
    (Laterality.LEFT, Zone.MIDDLE): ("left", "mid", "lung"),
    (Laterality.LEFT, Zone.LOWER): ("left", "lower", "lobe"),
    (Laterality.BILATERAL, Zone.UPPER): ("both", "upper", "lobes"),
    (Laterality.BILATERAL, Zone.MIDDLE): ("both", "mid", "lungs"),
    (Laterality.BILATERAL, Zone.LOWER): ("both", "lower", "lobes"),
}


def phrase(
    observation: str,
    presence: Presence,
    *,
    modifiers: Sequence[str] = (),
    anatomy: Sequence[str] = (),
    after: bool = False,
) -> list[Piece]:
    """A noun phrase with its relations.

    Modifiers modify the observation; the last word of the anatomy is its head, the words before
    modify it, and the observation is located at it. `after`: "opacity in the right lower lobe"
    instead of "right lower lobe opacity".
    """
    core = Entity(observation, "Observation", presence)
    before = [Entity(word, "Observation", presence, [("modify", core)]) for word in modifiers]
    place: list[Piece] = []
    if anatomy:
        head = Entity(anatomy[-1], "Anatomy")
        place = [Entity(word, "Anatomy", relations=[("modify", head)]) for word in anatomy[:-1]]
        place.append(head)
        core.relations.append(("located_at", head))
    if after and place:
        joint = "in" if anatomy[0] == "both" else "in the"
        return [*before, core, joint, *place]
    return [*before, *place, core]


class NounPhrases:
    """Calls findings by name, choosing among synonyms with a generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, options: Sequence[Any]) -> Any:
        """One of some options."""
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def noun(self, sign: Sign, presence: Presence, brief: bool = False) -> list[Piece]:
        """The noun phrase of a sign."""
        side = "bilateral" if sign.laterality is Laterality.BILATERAL else sign.laterality
        sided = (str(side),) if side else ()
        size = () if sign.severity is None or brief else (self.pick(_SIZE[sign.severity]),)
        degree = () if sign.severity is None or brief else (self.pick(_DEGREE[sign.severity]),)
        lobe: tuple[str, ...] = ()
        if sign.zone and sign.laterality:
            lobe = _LOBES[sign.laterality, sign.zone]
        after = lobe[:1] == ("both",) or self.chance(0.5)
        match sign.finding:
            case Finding.PNEUMOTHORAX:
                place = (*sided, "apical") if self.chance(0.4) else sided
                return phrase("pneumothorax", presence, modifiers=size, anatomy=place)
            case Finding.PLEURAL_EFFUSION:
                name = "effusions" if sign.laterality is Laterality.BILATERAL else "effusion"
                return phrase(name, presence, modifiers=size, anatomy=(*sided, "pleural"))
            case Finding.FRACTURE:
                which = self.pick(("fifth", "sixth", "seventh", "lateral", "posterior", ""))
                kind = {Severity.MILD: "nondisplaced", Severity.MODERATE: "mildly displaced",
                        Severity.SEVERE: "displaced", None: ""}[sign.severity]  # fmt: skip
                words = tuple(word for word in (*sided, which, "rib") if word)
                return phrase("fracture", presence, modifiers=() if brief else (kind,), anatomy=words)
            case Finding.LUNG_LESION:
                name = "nodule" if sign.severity is Severity.MILD else "mass"
                low, high = {Severity.MILD: (8, 28), Severity.MODERATE: (31, 45)}.get(
                    sign.severity or Severity.SEVERE, (46, 70)
                )
                measure = f"{self.rng.integers(low, high) / 10:.1f} cm"
                shape = self.pick(("rounded", "round", "spiculated", "well-circumscribed"))
                words = (measure,) if self.chance(0.5) else (shape,)
                return phrase(name, presence, modifiers=() if brief else words, anatomy=lobe, after=after)
            case Finding.CARDIOMEGALY:
                return phrase("cardiomegaly", presence, modifiers=degree)
            case Finding.ENLARGED_CARDIOMEDIASTINUM:
                if self.chance(0.5):
                    return phrase("widening", presence, modifiers=degree, anatomy=("mediastinal",))
                return phrase("mediastinal widening", presence, modifiers=degree)
            case Finding.EDEMA:
                place = (self.pick(("pulmonary", "interstitial")),)
                return phrase("edema", presence, modifiers=degree, anatomy=place)
            case Finding.CONSOLIDATION:
                mods = (self.pick(("dense", "focal", "confluent")),)
                return phrase(
                    "consolidation",
                    presence,
                    modifiers=() if brief else mods,
                    anatomy=lobe,
                    after=after,
                )
            case Finding.PNEUMONIA:
                return phrase("pneumonia", presence, anatomy=lobe, after=after and lobe[:1] == ("both",))
            case Finding.ATELECTASIS:
                base = (
                    ("bibasilar",) if side == "bilateral" else (*sided, self.pick(("basilar", "lower lobe")))
                )
                mods = (*degree, self.pick(("linear", "subsegmental", "platelike", "")))
                mods = tuple(word for word in mods if word)
                return phrase("atelectasis", presence, modifiers=() if brief else mods, anatomy=base)
            case Finding.LUNG_OPACITY:
                mods = (self.pick(("hazy", "patchy", "ill-defined", "airspace")),)
                name = "opacities" if side == "bilateral" else "opacity"
                return phrase(name, presence, modifiers=() if brief else mods, anatomy=lobe, after=after)
            case Finding.PLEURAL_OTHER:
                return phrase("thickening", presence, anatomy=(*sided, "apical", "pleural"))
            case Finding.SUPPORT_DEVICES:
                return self.device(sign)
        raise ValueError(f"{sign.finding} is no sign")

    def device(self, sign: Sign) -> list[Piece]:
        """A name of a device."""
        words = {
            "endotracheal tube": ("endotracheal tube", "ET tube"),
            "nasogastric tube": ("nasogastric tube", "enteric tube"),
            "central line": (
                "central venous catheter",
                "central venous line",
                "internal jugular catheter",
            ),
            "pacemaker": ("dual-lead pacemaker", "left-sided pacemaker", "cardiac pacing device"),
            "sternotomy wires": ("median sternotomy wires", "sternal wires"),
        }[sign.kind]
        return [Entity(self.pick(words), "Observation")]

    def denied(self, finding: Finding) -> list[Piece]:
        """The noun phrase of an absent finding."""
        match finding:
            case Finding.PLEURAL_EFFUSION:
                return phrase("effusion", ABSENT, anatomy=("pleural",))
            case Finding.CONSOLIDATION:
                return phrase("consolidation", ABSENT, modifiers=self.pick(((), ("focal",))))
            case Finding.LUNG_OPACITY:
                return phrase("opacity", ABSENT, modifiers=("focal",))
            case Finding.FRACTURE:
                return phrase("fracture", ABSENT, modifiers=self.pick(((), ("displaced",), ("acute",))),
                               anatomy=self.pick(((), ("rib",))))  # fmt: skip
            case Finding.LUNG_LESION:
                return phrase(self.pick(("mass", "nodule")), ABSENT, anatomy=self.pick(((), ("lung",))))
            case Finding.EDEMA:
                return phrase("edema", ABSENT, anatomy=("pulmonary",))
            case Finding.PNEUMOTHORAX:
                return phrase("pneumothorax", ABSENT)
            case Finding.PNEUMONIA:
                return phrase("pneumonia", ABSENT)
        raise ValueError(f"{finding} is not denied in a list")
