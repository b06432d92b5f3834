"""How fast texts are scored, as ratios to sacrebleu, pycocoevalcap and rouge-score in the same run.

Run with `python benchmarks/bench_text.py [FILE]`; about a minute on one core. FILE is a CSV with the
columns findings and impression, one report a row; without it, phantom reports are made. Candidates
are the same reports, shuffled. "first use" counts all that a new process does but imports: nothing
is remembered, every word is split and stemmed. "again" is the best of three more rounds on the same
texts, for both sides with what they remember: words here, and in sacrebleu whole reports.
"""

from __future__ import annotations

import csv
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.measures.base import Pairs, Side
from harness.measures.names import named_measure
from harness.report import FINDINGS

REAL: Final = Path(__file__).parents[2] / "shared" / "data" / "openi_dev" / "reports.csv"
STUDIES: Final = 1898
OURS: Final = (
    "bleu4.sacrebleu", "bleu4.coco", "rougeL.google", "rougeL.google.nostem", "rougeL.coco",
    "edit_distance", "report_length", "degenerate_output",
)  # fmt: skip
PEERS: Final = {
    "bleu4.sacrebleu": "sacrebleu corpus BLEU, 13a",
    "bleu4.coco": "pycocoevalcap BLEU, same tokens",
    "rougeL.google": "rouge-score rougeL, stemmed",
    "rougeL.google.nostem": "rouge-score rougeL",
    "rougeL.coco": "pycocoevalcap ROUGE-L, same tokens",
}
GOALS: Final = {"bleu4.sacrebleu": 5, "rougeL.google": 10}


def main(path: Path | None) -> None:
    """Runs each measure and each peer in a process of its own, so that all start cold."""
    print(f"texts: {path or 'phantom reports'}; one core; reports a second")
    print(f"{'measure':22}{'first use':>11}{'again':>9}   {'peer':34}{'first use':>11}{'again':>9}   ratios")
    for name in OURS:
        ours = _alone("ours", name, path)
        line = f"{name:22}{ours[0]:>11,.0f}{ours[1]:>9,.0f}"
        if name in PEERS:
            theirs = _alone("peer", name, path)
            ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
            goal = f" (goal: {GOALS[name]} x)" if name in GOALS else ""
            line += f"   {PEERS[name]:34}{theirs[0]:>11,.0f}{theirs[1]:>9,.0f}"
            line += f"   {ratios[0]:.1f} x, {ratios[1]:.1f} x{goal}"
        print(line, flush=True)


def _alone(who: str, name: str, path: Path | None) -> tuple[float, float]:
    command = [sys.executable, __file__, str(path or ""), who, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
    first, again = done.stdout.split()
    return float(first), float(again)


def measured(who: str, name: str, path: Path | None) -> None:
    """Prints reports a second, first and again."""
    references = _texts(path)
    candidates = references.copy()
    random.Random(1).shuffle(candidates)  # noqa: S311 - a benchmark
    work = _ours(name, candidates, references) if who == "ours" else _peer(name, candidates, references)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(len(references) / times[0], len(references) / min(times[1:]))


def _texts(path: Path | None) -> list[str]:
    if path is not None:
        with path.open(encoding="utf-8", newline="") as stream:
            return [f"{row['findings']}\n{row['impression']}" for row in csv.DictReader(stream)]
    from harness.phantom.language import describe
    from harness.phantom.sampling import patient_visits

    visits = (visit for patient in itertools.count() for visit in patient_visits(1, patient))
    words = (describe(visit.scene, np.random.default_rng(k)) for k, visit in enumerate(visits))
    return [f"{each.findings}\n{each.impression}" for each in itertools.islice(words, STUDIES)]


def _ours(name: str, candidates: list[str], references: list[str]) -> Callable[[], Any]:
    import nltk.stem.porter  # noqa: F401 - so that its import is not timed

    count = len(references)
    labels = np.zeros((count, len(FINDINGS)), dtype=np.int8)
    sides = [Side(texts, [""] * count, labels) for texts in (references, candidates)]
    pairs = Pairs(sides[0], sides[1], np.zeros(count, dtype=bool))
    measure = named_measure(name)

    def work() -> None:
        rows = measure.rows(pairs)
        measure.weighted(rows, np.ones(count))

    return work


def _peer(name: str, candidates: list[str], references: list[str]) -> Callable[[], Any]:
    if name == "bleu4.sacrebleu":
        from sacrebleu.metrics.bleu import BLEU

        bleu = BLEU(force=True)
        return lambda: bleu.corpus_score(candidates, [references])
    if name.startswith("rougeL.google"):
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(["rougeL"], use_stemmer=not name.endswith("nostem"))
        return lambda: [scorer.score(*pair) for pair in zip(references, candidates, strict=True)]
    from harness.measures.tokens import TOKENIZERS

    # These peers are given tokens; making them, which their own package does in Java, is not timed.
    ours, theirs = (
        {k: [" ".join(TOKENIZERS["ptb"](text)) or "none"] for k, text in enumerate(texts)}
        for texts in (candidates, references)
    )
    if name == "bleu4.coco":
        from pycocoevalcap.bleu.bleu import Bleu

        return lambda: Bleu(4).compute_score(theirs, ours, verbose=0)
    from pycocoevalcap.rouge.rouge import Rouge

    return lambda: Rouge().compute_score(theirs, ours)


if __name__ == "__main__":
    given = [*sys.argv[1:], str(REAL) if REAL.exists() else ""][0]
    file = Path(given) if given else None
    if len(sys.argv) == 4:
        measured(sys.argv[2], sys.argv[3], file)
    else:
        main(file)
