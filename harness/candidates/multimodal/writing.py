"""From the head's findings to a text: what the language model is asked, once, or twice.

A language model that is told what the head sees leaves some of it out, the more the longer the list.
Those findings are then asked for by themselves, and the sentences that state them are put in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from harness.annotators.rules import Mention, RulesLabeler
from harness.candidates.base import phase
from harness.candidates.multimodal.beams import Generated
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.prompts import CUT, TEMPLATES, Instruction, by_region
from harness.candidates.multimodal.sections import Sections, sentence_spans, split_sections
from harness.report import CRITICAL, FINDINGS, INDEX, Finding, State
from harness.study import Study

ALONE: Final = Instruction(detail="brief")
"""How findings that were left out are asked for."""
_STATED: Final = (State.POSITIVE, State.UNCERTAIN)
_NUMBER: Final = re.compile(r"\d+\s*[.)]\s*")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the language model."""

    prompt: str
    generated: Generated


@dataclass(frozen=True, slots=True)
class Written:
    """A text and how it came about."""

    text: str
    answers: tuple[Answer, ...]
    """One, or two where the first left findings out."""
    notes: tuple[str, ...]
    """Reasons why a radiologist should look."""


def write(
    processor: MultimodalProcessor,
    studies: Sequence[Study],
    instruction: Instruction,
    probabilities: Sequence[Sequence[float]],
    generate: Callable[[Sequence[int], Sequence[str]], Sequence[Generated]],
) -> list[Written]:
    """The texts of some studies.

    Where the prompt names what the head sees (`detections_in_prompt`) and the text, by the rules
    labeler, states less, the model is asked for the rest alone, briefly; see `completed`. A
    critical finding that came in this way is a note: the model's first text went without it.

    Args:
        processor: of the model.
        studies: any.
        instruction: what is asked of all. A question is never asked twice.
        probabilities: of the head, in CheXpert's order, (n, 14).
        generate: the language model, from some places in `studies` and a prompt for each to its best
            answers.

    Raises:
        CandidateError: a study has none of the model's views, or its prompt does not fit.
    """
    seen = [processor.detected(row) for row in probabilities]
    every = range(len(studies))
    with phase("preprocessing"):
        prompts = [processor.prompt(studies[n], instruction, seen[n]) for n in every]
    firsts = generate(every, prompts)
    texts = [processor.decode(first.tokens) for first in firsts]
    missing = [
        () if named is None or instruction.question is not None else left_out(text, named)
        for text, named in zip(texts, seen, strict=True)
    ]
    again = [n for n in every if missing[n]]
    with phase("preprocessing"):
        more = [processor.prompt(studies[n], ALONE, missing[n]) for n in again]
    seconds = generate(again, more) if again else []
    answered = dict(zip(again, map(Answer, more, seconds), strict=True))
    written = []
    for n in every:
        text, answers = texts[n], [Answer(prompts[n], firsts[n])]
        notes = [] if firsts[n].finished else ["the text ends at the longest length allowed"]
        if CUT in prompts[n]:
            notes.append("the indication was too long for the model and was cut")
        if n in answered:
            addition = processor.decode(answered[n].generated.tokens)
            text, added = completed(text, addition, missing[n], instruction)
            answers += [answered[n]] if added else []
            notes += [
                f"{finding}: left out of the model's first text, asked for again"
                for finding in added
                if finding in CRITICAL
            ]
        written.append(Written(text, tuple(answers), tuple(notes)))
    return written


def left_out(text: str, seen: Collection[Finding]) -> tuple[Finding, ...]:
    """Findings that a text does not state as present or possible, in CheXpert's order.

    No Finding is none of them. A text without words has left out nothing: it is no report.
    """
    if not text.strip():
        return ()
    states = RulesLabeler().label([text])[0]
    return tuple(
        finding
        for finding in FINDINGS
        if finding in seen and finding is not Finding.NO_FINDING and states[INDEX[finding]] not in _STATED
    )


def completed(
    text: str, addition: str, missing: Collection[Finding], instruction: Instruction
) -> tuple[str, tuple[Finding, ...]]:
    """A text with the sentences of another that state missing findings, and which these are.

    A sentence is taken if every finding that it states is missing. In turn, sentences go that deny
    what was added and state nothing themselves, and an impression that states nothing goes whole:
    devices apart, the study is not normal any more.

    Args:
        text: as generated, with headings.
        addition: likewise.
        missing: by `left_out`.
        instruction: that the text follows: where it has no findings section none is begun, and
            where findings stand by region, so do the added ones.
    """
    template = TEMPLATES[instruction.template]
    extra = split_sections(addition)
    told = _stating(extra.findings, missing) if template.findings else []
    concluded = _stating(extra.impression, missing)
    states = RulesLabeler().label([" ".join([*told, *concluded])])[0]
    added = tuple(f for f in FINDINGS if f in missing and states[INDEX[f]] in _STATED)
    if not added:
        return text, ()
    findings = " ".join(told)
    if template.regions:
        findings = by_region(findings, template.regions)
    base = split_sections(text)
    impression = _kept(base.impression, added)
    if set(added) - {Finding.SUPPORT_DEVICES} and not _states(base.impression):
        impression = []
    concluded = concluded or told
    if impression and _NUMBER.match(impression[-1]):
        concluded = [f"{number}. {words}" for number, words in enumerate(concluded, len(impression) + 1)]
    whole = Sections(
        " ".join([*_kept(base.findings, added), findings]),
        " ".join([*impression, *concluded]),
        base.recommendations,
    )
    return whole.joined(), added


def _sentences(text: str) -> list[tuple[str, list[Mention]]]:
    """Each sentence with its statements about findings."""
    mentions = RulesLabeler().mentions(text)
    return [
        (text[start:end], [mention for mention in mentions if start <= mention.start < end])
        for start, end in sentence_spans(text)
    ]


def _states(text: str) -> bool:
    return any(mention.state in _STATED for mention in RulesLabeler().mentions(text))


def _stating(text: str, missing: Collection[Finding]) -> list[str]:
    found = []
    for words, mentions in _sentences(text):
        stated = {mention.finding for mention in mentions if mention.state in _STATED}
        if stated and stated <= set(missing):
            found.append(_NUMBER.sub("", words, count=1) if _NUMBER.match(words) else words)
    return found


def _kept(text: str, added: Collection[Finding]) -> list[str]:
    """The sentences that state something, or deny nothing of what was added."""
    return [
        words
        for words, mentions in _sentences(text)
        if any(mention.state in _STATED for mention in mentions)
        or not any(mention.finding in added for mention in mentions)
    ]
