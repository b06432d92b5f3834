"""How fast and how lean the bootstrap is, as ratios to the obvious alternatives.

Run with `python benchmarks/bench_inference.py`; about two minutes on one core.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.inference import Bootstrap, bootstrap_interval

STUDIES, REPLICATES, COLUMNS = 2_000, 10_000, 100
FINDINGS = 14


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """Wall-clock time of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def macro_f1(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Macro F1 from true positives, false positives and false negatives of each finding."""
    tp, fp, fn = np.moveaxis(totals.reshape(*totals.shape[:-1], FINDINGS, 3), -1, 0)
    return np.asarray((2 * tp / (2 * tp + fp + fn)).mean(axis=-1))


def against_the_matrix_product() -> tuple[float, float]:
    """Our pass, and NumPy's own Poisson counts with one matrix product."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 5, (STUDIES, COLUMNS))
    names = np.array([f"patient-{k}" for k in range(STUDIES)])
    ours = seconds(lambda: Bootstrap(names, REPLICATES, 0).distributions([(rows, lambda totals: totals)]))
    as_float = rows.astype(np.float64)
    plain = seconds(lambda: rng.poisson(1.0, (REPLICATES, STUDIES)).astype(np.float64) @ as_float)
    return ours, plain


def against_the_libraries() -> tuple[float, float, float]:
    """Our BCa interval of macro F1; a loop over scikit-learn; SciPy's bootstrap with scikit-learn."""
    from scipy.stats import bootstrap
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    truth = rng.random((STUDIES, FINDINGS)) < 0.3
    answer = truth ^ (rng.random((STUDIES, FINDINGS)) < 0.15)
    rows = np.stack([truth & answer, ~truth & answer, truth & ~answer], axis=-1).reshape(STUDIES, -1)
    ours = seconds(lambda: bootstrap_interval(rows, macro_f1, replicates=REPLICATES))

    few = 50

    def loop() -> None:
        for _ in range(few):
            drawn = rng.integers(0, STUDIES, STUDIES)
            f1_score(truth[drawn], answer[drawn], average="macro", zero_division=0)

    def of_places(places: NDArray[np.int64]) -> float:
        return float(f1_score(truth[places], answer[places], average="macro", zero_division=0))

    def scipy_bootstrap() -> None:
        # BCa takes a jackknife of one call a study on top, whatever the number of replicates.
        bootstrap(
            (np.arange(STUDIES),), of_places, n_resamples=few, method="percentile", vectorized=False, rng=0
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one_loop, one_scipy = seconds(loop, 1), seconds(scipy_bootstrap, 1)
    return ours, one_loop * REPLICATES / few, one_scipy * (REPLICATES + STUDIES) / few


def large(results: multiprocessing.Queue[tuple[float, float]]) -> None:
    """200,000 studies, 100 columns, 2,000 replicates: seconds and peak gigabytes of this process."""
    rows = np.random.default_rng(2).integers(0, 5, (200_000, COLUMNS))
    names = np.array([f"patient-{k}" for k in range(len(rows))])
    taken = seconds(lambda: Bootstrap(names, 2_000, 0).distributions([(rows, lambda t: t[..., :10])]), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results.put((taken, peak * (1 if sys.platform == "darwin" else 1024) / 1e9))


def main() -> None:
    """Prints the table."""
    ours, plain = against_the_matrix_product()
    print(f"{STUDIES:,} studies, {REPLICATES:,} replicates, {COLUMNS} columns")
    print(f"  one pass over the weights                      {ours:8.2f} s")
    print(f"  NumPy Poisson counts and one matrix product    {plain:8.2f} s")
    print(f"  ratio (target: 3 or less)                      {ours / plain:8.2f}")
    ours, loop, library = against_the_libraries()
    print(
        f"BCa interval of macro F1 over {FINDINGS} findings, {STUDIES:,} studies, {REPLICATES:,} replicates"
    )
    print(f"  bootstrap_interval                             {ours:8.2f} s")
    print(f"  loop over scikit-learn, from 50 replicates     {loop:8.2f} s  (extrapolated)")
    print(f"  scipy.stats.bootstrap, from 50 replicates      {library:8.2f} s  (extrapolated)")
    print(f"  times faster (target: 30 or more)              {loop / ours:8.0f} and {library / ours:.0f}")
    context = multiprocessing.get_context("spawn")  # a process of its own, for its own peak
    results: multiprocessing.Queue[tuple[float, float]] = context.Queue()
    child = context.Process(target=large, args=(results,))
    child.start()
    taken, gigabytes = results.get()
    child.join()
    print("200,000 studies, 2,000 replicates, 100 columns")
    print(f"  time                                           {taken:8.2f} s")
    print(f"  peak memory (target: below 2 GB)               {gigabytes:8.2f} GB")


if __name__ == "__main__":
    main()
