"""A phantom scene in a radiologist's words, with the states and the graph of those words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from harness.phantom.graph import Entity, Piece, radgraph, render
from harness.phantom.nouns import ADVERB, PRESENT, UNSURE, NounPhrases
from harness.phantom.scene import Certainty, Course, EdgeCase, Scene, Sign
from harness.report import CRITICAL, FINDINGS, Finding, Laterality, Severity, State
from harness.study import Sex, View


@dataclass(frozen=True, slots=True)
class Description:
    """The report of a scene."""

    indication: str
    comparison: str
    findings: str
    """Empty in the few reports that have only an impression."""
    impression: str
    states: dict[Finding, State]
    """What the text says of each of the 14 findings."""
    graph: dict[str, Any]
    """RadGraph JSON of findings and impression."""


_LUNG: Final = (
    Finding.LUNG_OPACITY,
    Finding.LUNG_LESION,
    Finding.EDEMA,
    Finding.CONSOLIDATION,
    Finding.PNEUMONIA,
    Finding.ATELECTASIS,
)


def describe(scene: Scene, rng: np.random.Generator) -> Description:
    """Writes the report of a scene.

    Every sign is stated, in the impression too if it is critical; a faint one is stated as
    possible. Absent findings are denied or not mentioned. A function of scene and generator alone.
    """
    writer = _Writer(scene, rng)
    order = sorted(scene.signs, key=lambda sign: (sign.finding not in CRITICAL, rng.random()))
    # A few reports have no findings section; their impression says everything.
    whole = bool(rng.random() < 0.025)
    impression = writer.impression(order, whole)
    findings = [] if whole else writer.findings(list(order))
    states = writer.states
    others = [f for f in FINDINGS if f not in (Finding.NO_FINDING, Finding.SUPPORT_DEVICES)]
    if not any(states.get(f) in (State.POSITIVE, State.UNCERTAIN) for f in others):
        states[Finding.NO_FINDING] = State.POSITIVE
    return Description(
        indication=writer.indication(),
        comparison=f"Chest radiograph from {scene.prior_studies[-1]}." if scene.prior_studies else "None.",
        findings=render(findings),
        impression=render(impression),
        states={finding: states.get(finding, State.NOT_MENTIONED) for finding in FINDINGS},
        graph=radgraph([findings, impression]),
    )


class _Writer(NounPhrases):
    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.scene = scene
        self.states: dict[Finding, State] = {}
        self.present = {sign.finding for sign in scene.signs}
        self.heavy = bool(self.present & set(_LUNG))

    # What is there

    def statement(self, sign: Sign) -> list[Piece]:
        """One sentence that says that the sign is there, or may be."""
        finding = sign.finding
        self.states[finding] = State.POSITIVE
        if finding is Finding.SUPPORT_DEVICES:
            return self.device_sentence(sign)
        if sign.certainty is Certainty.FAINT:
            self.states[finding] = State.UNCERTAIN
            noun = self.noun(sign, UNSURE)
            return _sentence(self.pick((
                ["Possible", *noun], ["Questionable", *noun],
                ["A", *noun, "cannot be excluded"] if self._single(sign) else [*noun, "cannot be excluded"],
                ["There may be", *self._article(sign, noun)],
                ["Findings could represent", *self._article(sign, noun)],
            )))  # fmt: skip
        noun = self.noun(sign, PRESENT)
        if finding is Finding.CARDIOMEGALY and self.chance(0.5):
            return self.heart(sign)
        plural = self._plural(sign)
        be = "are" if plural else "is"
        if sign.course is not None:
            return self.with_course(sign, noun, be)
        with_article = self._article(sign, noun)
        return _sentence(self.pick((
            [f"There {be}", *with_article],
            [*with_article, be, self.pick(("present", "seen", "noted", "identified"))],
            [*noun],
        )))  # fmt: skip

    def with_course(self, sign: Sign, noun: list[Piece], be: str) -> list[Piece]:
        core = next(p for p in noun if isinstance(p, Entity) and p.kind == "Observation" and not any(
            kind == "modify" for kind, _ in p.relations))  # fmt: skip
        verb = "have" if be == "are" else "has"

        def change(word: str) -> Entity:
            return Entity(word, "Observation", relations=[("modify", core)])

        options: dict[Course, Sequence[list[Piece]]] = {
            Course.NEW: ([change("New"), *noun], ["There", be, change("new"), *noun]),
            Course.UNCHANGED: (
                [*noun, be, change("unchanged"), "from the prior study"],
                [*noun, ",", change("stable"), "compared to the prior exam"],
            ),
            Course.INCREASED: (
                [*noun, verb, change("increased"), "since the prior study"],
                [*noun, be, change("larger"), "than before"],
            ),
            Course.DECREASED: (
                [*noun, verb, change("decreased"), "since the prior study"],
                [*noun, be, change("smaller"), "than before"],
            ),
        }
        if sign.finding not in (
            Finding.PNEUMOTHORAX,
            Finding.PLEURAL_EFFUSION,
            Finding.LUNG_LESION,
        ):
            options[Course.INCREASED] = ([*noun, verb, change("worsened"), "since the prior study"],)
            options[Course.DECREASED] = ([*noun, verb, change("improved"), "since the prior study"],)
        if sign.finding is Finding.FRACTURE:
            options[Course.INCREASED] = options[Course.DECREASED] = options[Course.UNCHANGED]
        return _sentence(self.pick(options[sign.course or Course.UNCHANGED]))

    def heart(self, sign: Sign) -> list[Piece]:
        anatomy = self.pick((("heart",), ("cardiac", "silhouette")))
        head = Entity(anatomy[-1], "Anatomy")
        before = [Entity(word, "Anatomy", relations=[("modify", head)]) for word in anatomy[:-1]]
        state = Entity("enlarged", "Observation", relations=[("located_at", head)])
        how = Entity(ADVERB[sign.severity or Severity.MILD], "Observation", relations=[("modify", state)])
        return _sentence(["The", *before, head, "is", how, state])

    def device_sentence(self, sign: Sign) -> list[Piece]:
        noun = self.device(sign)
        where = {
            "endotracheal tube": ("terminates above the carina", "is in standard position"),
            "nasogastric tube": ("courses below the diaphragm", "ends in the stomach"),
            "central line": ("ends in the lower superior vena cava", "is in unchanged position"),
            "pacemaker": ("is in place", "is noted with leads in expected position"),
            "sternotomy wires": ("are intact", "are noted"),
        }[sign.kind]
        article = [] if sign.kind == "sternotomy wires" else [self.pick(("A", "The"))]
        return _sentence([*article, *noun, self.pick(where)])

    def _single(self, sign: Sign) -> bool:
        countable = (Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION, Finding.FRACTURE,
                     Finding.LUNG_LESION, Finding.LUNG_OPACITY)  # fmt: skip
        return sign.finding in countable and not self._plural(sign)

    def _plural(self, sign: Sign) -> bool:
        many = (Finding.PLEURAL_EFFUSION, Finding.LUNG_OPACITY)
        return sign.finding in many and sign.laterality is Laterality.BILATERAL

    def _article(self, sign: Sign, noun: list[Piece]) -> list[Piece]:
        if not self._single(sign):
            return noun
        first = noun[0] if isinstance(noun[0], str) else noun[0].text
        # "an ill-defined", "an 8.1 cm"
        vowel = first[0].lower() in "aeiou8" or first.startswith("11")
        return ["an" if vowel else "a", *noun]

    # What is not there

    def denial(self, findings: Sequence[Finding]) -> list[Piece]:
        """One sentence that denies some findings."""
        parts: list[Piece] = []
        for place, finding in enumerate(findings):
            self.states[finding] = State.NEGATIVE
            if place:
                parts += [","] if place < len(findings) - 1 else ["or"]
            parts += self.denied(finding)
        starts = ("No", "There is no", "No evidence of", "There is no evidence of", "Negative for")
        tails: Sequence[list[Piece]] = (["is seen"], ["is identified"], [])
        start = self.pick(starts)
        tail = self.pick(tails) if start == "No" else []
        return _sentence([start, *parts, *tail])

    def normal(self, anatomy: Sequence[str], state: str, be: str, finding: Finding | None) -> list[Piece]:
        if finding is not None:
            self.states[finding] = State.NEGATIVE
        head = Entity(anatomy[-1], "Anatomy")
        before = [Entity(word, "Anatomy", relations=[("modify", head)]) for word in anatomy[:-1]]
        how = Entity(state, "Observation", relations=[("located_at", head)])
        return _sentence(["The", *before, head, be, how])

    # The sections

    def findings(self, order: list[Sign]) -> list[Piece]:
        self.rng.shuffle(order)
        sentences = [self.statement(sign) for sign in order]
        deniable = [
            finding
            for finding in (
                Finding.PNEUMOTHORAX,
                Finding.PLEURAL_EFFUSION,
                Finding.CONSOLIDATION,
                Finding.FRACTURE,
                Finding.EDEMA,
                Finding.LUNG_LESION,
                Finding.LUNG_OPACITY,
                Finding.PNEUMONIA,
            )
            if finding not in self.present
            and not (
                self.heavy and finding in (Finding.CONSOLIDATION, Finding.LUNG_OPACITY, Finding.PNEUMONIA)
            )
            and self.chance(0.85 if finding in (Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION) else 0.35)
        ]
        self.rng.shuffle(deniable)
        if len(deniable) > 3 or (len(deniable) > 1 and self.chance(0.3)):
            middle = len(deniable) // 2
            sentences += [self.denial(deniable[:middle]), self.denial(deniable[middle:])]
        elif deniable:
            sentences.append(self.denial(deniable))
        sentences += self.background()
        style = self.rng.random()
        if style < 0.5:
            self.rng.shuffle(sentences)
        return [piece for sentence in sentences for piece in sentence]

    def background(self) -> list[list[Piece]]:
        sentences: list[list[Piece]] = []
        wide = Finding.ENLARGED_CARDIOMEDIASTINUM in self.present
        big = Finding.CARDIOMEGALY in self.present
        if not wide and not big and self.chance(0.6):
            name = self.pick((("cardiomediastinal", "silhouette"), ("cardiomediastinal", "contours")))
            be = "are" if name[-1] == "contours" else "is"
            state = self.pick(("within normal limits", "normal", "unremarkable"))
            sentences.append(self.normal(name, state, be, Finding.ENLARGED_CARDIOMEDIASTINUM))
        elif not big and self.chance(0.7):
            state = self.pick(("normal", "within normal limits"))
            sentences.append(self.normal(("heart", "size"), state, "is", Finding.CARDIOMEGALY))
        if not self.heavy and self.chance(0.6):
            sentences.append(self.normal(("lungs",), self.pick(("clear", "well expanded")), "are", None))
        if Finding.FRACTURE not in self.present and self.chance(0.35):
            name = self.pick((("osseous", "structures"), ("bony", "structures")))
            sentences.append(self.normal(name, self.pick(("unremarkable", "intact")), "are", None))
        if self.chance(0.2):
            sentences.append(self.normal(("upper", "abdomen"), "unremarkable", "is", None))
        if self.scene.edge_case is EdgeCase.IMPLANT and self.chance(0.7):
            implants = Entity("implants", "Observation")
            sentences.append(_sentence(["Bilateral breast", implants, "are noted"]))
        if self.scene.edge_case is EdgeCase.PAEDIATRIC and self.chance(0.5):
            sentences.append(self.normal(("thymic", "contour"), "appropriate for age", "is", None))
        if View.AP in self.scene.views and self.chance(0.3):
            sentences.append(_sentence(["Portable technique limits assessment"]))
        return sentences

    def impression(self, order: Sequence[Sign], whole: bool) -> list[Piece]:
        told = [
            sign
            for sign in order
            if whole
            or sign.finding in CRITICAL
            or (sign.finding is not Finding.SUPPORT_DEVICES and self.chance(0.8))
        ]
        if not told and not self.present - {Finding.SUPPORT_DEVICES}:
            nothing = self.pick((
                "No acute cardiopulmonary process", "No acute cardiopulmonary abnormality",
                "No acute intrathoracic process", "Normal chest radiograph",
                "No radiographic evidence of acute disease",
            ))  # fmt: skip
            sentences = [_sentence([nothing])]
        else:
            seen = [sign for sign in order if sign.finding is not Finding.SUPPORT_DEVICES]
            sentences = [self.summary(sign) for sign in told or seen[:1]]
        if len(sentences) > 1 and self.chance(0.4):
            return [p for number, s in enumerate(sentences, 1) for p in (f"{number}.", *s)]
        return [piece for sentence in sentences for piece in sentence]

    def summary(self, sign: Sign) -> list[Piece]:
        if sign.finding is Finding.SUPPORT_DEVICES:
            return self.statement(sign)
        if sign.certainty is Certainty.FAINT:
            self.states[sign.finding] = State.UNCERTAIN
            noun = self.noun(sign, UNSURE, brief=True)
            return _sentence(self.pick((["Possible", *noun], ["Questionable", *noun])))
        self.states[sign.finding] = State.POSITIVE
        return _sentence(self.noun(sign, PRESENT, brief=self.chance(0.4)))

    def indication(self) -> str:
        scene = self.scene
        years = f"{scene.age}-year-old" if scene.age > 1 else "infant"
        who = ("woman" if scene.sex is Sex.FEMALE else "man") if scene.age >= 18 else "child"
        why = self.pick((
            "shortness of breath", "chest pain", "cough and fever", "fall with chest wall pain",
            "follow-up", "preoperative evaluation", "hypoxia", "trauma", "weight loss",
        ))  # fmt: skip
        return f"{years} {who} with {why}.".replace("infant child", "Infant")


def _sentence(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with a capital at the start and a full stop at the end."""
    kept = [piece for piece in pieces if piece != ""]
    first = kept[0]
    if isinstance(first, str):
        kept[0] = first[:1].upper() + first[1:]
    else:
        first.text = first.text[:1].upper() + first.text[1:]
    return [*kept, "."]
