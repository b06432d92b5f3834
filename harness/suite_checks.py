"""What in a well-formed suite makes no sense all the same: names that lead nowhere."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from harness.annotators.base import GraphAnnotator, Labeler
from harness.errors import PluginError
from harness.measures.base import Measure, WeightedMeasure
from harness.measures.findings_detection import FindingsDetection
from harness.plugins import load
from harness.yaml_source import KeyPath, Source

if TYPE_CHECKING:
    from harness.suite import AnnotatorPart, Criterion, Suite
    from harness.suite_comparison import Guardrail, Hypothesis


def unanswerable(suite: Suite, source: Source) -> Iterator[str]:
    """Every problem of a suite that is well formed: names and options that lead nowhere."""
    yield from _annotator_problems(suite.labeler, "labeler", Labeler, source)
    if suite.graphs is not None:
        yield from _annotator_problems(suite.graphs, "graphs", GraphAnnotator, source)
    measures: dict[str, Measure] = {}
    for index, part in enumerate(suite.measures):
        path: KeyPath = ("measures", index)
        if part.key in measures:
            yield source.problem(path, f"{part.key} stands twice; give each its own id")
        try:
            cls = load("measures", part.measure)
        except PluginError as error:
            yield source.problem((*path, "measure"), str(error))
            continue
        unknown = _unknown_options(cls, part.options)
        for name, hint in unknown.items():
            yield source.problem((*path, "options", name), f"unknown option{hint}")
        if unknown:
            continue
        try:
            measure = measures[part.key] = part.build()
        except (TypeError, ValueError) as error:
            yield source.problem((*path, "options"), str(error))
            continue
        if "graphs" in measure.needs and suite.graphs is None:
            yield source.problem(
                path, f"{part.key} needs graphs; say who makes them, such as graphs: radgraph"
            )
    seen: set[str] = set()
    for index, criterion in enumerate(suite.criteria):
        path = ("criteria", index)
        if criterion.id in seen:
            yield source.problem((*path, "id"), f"{criterion.id} stands twice; ids must differ")
        seen.add(criterion.id)
        if criterion.slice and criterion.slice.partition("=")[0] not in suite.slices:
            slices = ", ".join(suite.slices) or "none"
            yield source.problem((*path, "slice"), f"{criterion.slice} is not under slices (there: {slices})")
        for name in criterion.over:
            if name not in suite.slices:
                slices = ", ".join(suite.slices) or "none"
                yield source.problem((*path, "over"), f"{name} is not under slices (there: {slices})")
        yield from unknown_value(criterion, path, suite, measures, source)
    yield from _unanswerable_fairness(suite, measures, source)
    if suite.comparison is None:
        return
    for part_name in ("family", "guardrails"):
        for index, item in enumerate(getattr(suite.comparison, part_name)):
            path = ("comparison", part_name, index)
            problems = list(unknown_value(item, path, suite, measures, source))
            yield from problems
            if isinstance(measures.get(item.measure), WeightedMeasure):
                what = "is no function of counts: its difference is shown, and cannot be tested"
                yield source.problem((*path, "measure"), f"{item.measure} {what}")
                continue
            proportional = part_name == "family" and item.test == "mcnemar"
            found = not problems and item.measure in measures
            if found and proportional and item.value not in measures[item.measure].proportions:
                yield source.problem(path, f"{item.measure}.{item.value} is no proportion")
    arms = suite.comparison.randomised
    if arms is not None and suite.cohort.studies is None:
        yield source.problem(("cohort", "studies"), "a randomised comparison needs a planned number")


def _unanswerable_fairness(suite: Suite, measures: dict[str, Measure], source: Source) -> Iterator[str]:
    if suite.fairness is None:
        return
    path: KeyPath = ("fairness", "measure")
    if not suite.slices:
        yield source.problem(("fairness",), "needs slices to compare the groups of")
    if suite.fairness.measure in measures:
        if not isinstance(measures[suite.fairness.measure], FindingsDetection):
            yield source.problem(path, f"{suite.fairness.measure} is no findings_detection; add one")
    elif suite.fairness.measure not in {part.key for part in suite.measures}:
        yield source.problem(path, "not under measures; add a findings_detection")
    if find_spec("fairlearn") is None:
        yield source.problem(("fairness",), 'needs fairlearn; pip install "harness[fairness]"')


def unknown_value(
    item: Criterion | Hypothesis | Guardrail,
    path: KeyPath,
    suite: Suite,
    measures: dict[str, Measure],
    source: Source,
) -> Iterator[str]:
    """Whether a measure and its value are there."""
    if item.measure not in {part.key for part in suite.measures}:
        names = [part.key for part in suite.measures]
        near = difflib.get_close_matches(item.measure, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"listed: {', '.join(names)}"
        yield source.problem((*path, "measure"), f"not under measures; {hint}")
    elif item.measure in measures and item.value not in (values := measures[item.measure].values):
        near = difflib.get_close_matches(item.value, values, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(values)}"
        place = (*path, "value") if (*path, "value") in source.places else path
        yield source.problem(place, f"{item.measure} has no value {item.value!r}; {hint}")


def _annotator_problems(part: AnnotatorPart, key: str, kind: type, source: Source) -> Iterator[str]:
    named = isinstance(source.data.get(key), dict)
    path: KeyPath = (key, "annotator") if named else (key,)
    try:
        cls = load("annotators", part.annotator)
    except PluginError as error:
        yield source.problem(path, str(error))
        return
    if not issubclass(cls, kind):
        makes = "graphs, not labels" if kind is Labeler else "labels, not graphs"
        yield source.problem(path, f"{part.annotator} makes {makes}")
        return
    if issubclass(cls, Labeler) and not cls.reads_texts and source.data.get("reference_labels") == "labeler":
        yield source.problem(
            path, f"{part.annotator} reads no reference's text; set reference_labels: cohort"
        )
    unknown = _unknown_options(cls, part.options)
    for name, hint in unknown.items():
        yield source.problem((key, "options", name), f"unknown option{hint}")
    if not unknown:
        try:
            part.build()
        except (TypeError, ValueError) as error:
            yield source.problem((key, "options"), str(error))


def _unknown_options(cls: type, options: Mapping[str, Any]) -> dict[str, str]:
    """Name -> hint of the options that a constructor does not take."""
    known = [name for name in inspect.signature(cls).parameters if name != "self"]
    hints = {}
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hints[name] = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known) or 'none'}"
    return hints
