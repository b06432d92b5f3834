"""How many reports a second the rule-based labeler reads, cold and warm.

Run with `OMP_NUM_THREADS=1 python benchmarks/bench_labeler.py`. On the real reports beside the
repository if they are there, and on generated phantom reports. Cold: a fresh process, the lexicon
compiled within the time. Nothing is cached between texts, so that warm differs by that alone.
"""

from __future__ import annotations

import csv
import multiprocessing
import time
from pathlib import Path

import numpy as np

REAL = Path(__file__).parents[2] / "shared" / "data" / "openi_dev" / "reports.csv"
TARGET = 2_000


def real_texts() -> list[str]:
    """Findings and impression of every real report; empty if they are not there."""
    if not REAL.is_file():
        return []
    with REAL.open(encoding="utf-8", newline="") as stream:
        return [f"{row['findings']}\n{row['impression']}" for row in csv.DictReader(stream)]


def phantom_texts(patients: int = 1_500) -> list[str]:
    """Generated reports."""
    from harness.phantom.language import describe
    from harness.phantom.sampling import patient_visits

    visits = [visit for patient in range(patients) for visit in patient_visits(1, patient)]
    told = [describe(visit.scene, np.random.default_rng([2, n])) for n, visit in enumerate(visits)]
    return [f"{words.findings}\n{words.impression}" for words in told]


def rates(texts: list[str]) -> tuple[float, float]:
    """Reports a second, the first time and after."""
    from harness.annotators.rules import RulesLabeler

    times = []
    for _ in range(4):
        start = time.perf_counter()
        RulesLabeler().label(texts)
        times.append(time.perf_counter() - start)
    return len(texts) / times[0], len(texts) / min(times[1:])


def main() -> None:
    """Prints the table."""
    context = multiprocessing.get_context("spawn")  # a fresh process each
    for name, texts in (("real reports", real_texts()), ("phantom reports", phantom_texts())):
        if not texts:
            print(f"{name}: not there")
            continue
        with context.Pool(1) as pool:
            cold, warm = pool.apply(rates, (texts,))
        print(f"{len(texts):,} {name}, {np.mean([len(text.split()) for text in texts]):.0f} words each")
        print(f"  reports a second, cold (target: {TARGET:,} or more)  {cold:8,.0f}")
        print(f"  reports a second, warm                           {warm:8,.0f}")


if __name__ == "__main__":
    main()
