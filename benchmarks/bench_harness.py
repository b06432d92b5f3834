"""The harness's own work (everything but the candidate), and how it grows with the cohort.

Run with `python benchmarks/bench_harness.py`; about three minutes on two cores.
"""

from __future__ import annotations

import csv
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.candidates import open_candidate
from harness.cohorts import open_cohort
from harness.data_files import data_path
from harness.phantom.language import describe
from harness.phantom.sampling import patient_visits
from harness.report import FINDINGS, State
from harness.run import Request, execute

SIZES = (2_000, 20_000)
_CODE = {State.POSITIVE: "1", State.NEGATIVE: "0", State.UNCERTAIN: "-1", State.NOT_MENTIONED: ""}


def write_cohort(folder: Path, studies: int) -> None:
    """A manifest of so many phantom reports, and the same reports as predictions, one study later."""
    rows: list[dict[str, str]] = []
    patient = 0
    while len(rows) < studies:
        for visit in patient_visits(20261, patient):
            words = describe(visit.scene, np.random.default_rng([20261, patient, visit.visit]))
            labels = {str(finding): _CODE[words.states[finding]] for finding in FINDINGS}
            texts = {"findings": words.findings, "impression": words.impression}
            rows.append({"study_id": f"s{len(rows):07}", "patient_id": f"p{patient:07}", **texts, **labels})
        patient += 1
    rows = rows[:studies]
    for name, columns, shift in (("manifest", list(rows[0]), 0), ("predictions", ["study_id", *texts], 1)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for place, row in enumerate(rows):
                other = rows[(place + shift) % len(rows)]
                writer.writerow({**other, "study_id": row["study_id"]})


def measure(folder: Path, results: multiprocessing.Queue[tuple[float, float, dict[str, float]]]) -> None:
    """Runs the suite over a folder of `write_cohort`: seconds, peak gigabytes, seconds of each step."""
    began = time.perf_counter()
    ends: dict[str, float] = {}

    def progress(step: str, done: int, total: int) -> None:
        ends[step] = time.perf_counter()

    cohort = open_cohort(f"manifest:{folder / 'manifest.csv'}")
    ends["opening the cohort"] = time.perf_counter()
    execute(
        Request(
            suite=data_path("suites") / "reports.yaml",
            cohort=cohort,
            cohort_locator="manifest",
            candidate=open_candidate(f"predictions:{folder / 'predictions.csv'}"),
            candidate_locator="predictions",
            out=folder / "run",
            workers=1,
        ),
        progress,
    )
    steps, before = {}, began
    for step, end in sorted(ends.items(), key=lambda item: item[1]):
        steps[step], before = end - before, end
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    results.put((time.perf_counter() - began, peak / 1e9, steps))


def main() -> None:
    """Prints the table."""
    context = multiprocessing.get_context("spawn")  # a process of its own, for its own peak
    seconds = {}
    for studies in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_cohort(folder, studies)
            results: multiprocessing.Queue[tuple[float, float, dict[str, float]]] = context.Queue()
            child = context.Process(target=measure, args=(folder, results))
            child.start()
            seconds[studies], gigabytes, steps = results.get()
            child.join()
        print(f"{studies:,} studies: {seconds[studies]:.1f} s, {studies / seconds[studies]:,.0f} studies a "
              f"second, peak memory {gigabytes:.2f} GB")  # fmt: skip
        for step, taken in steps.items():
            print(f"  {step:24} {taken:8.2f} s")
    few, many = SIZES
    growth = (seconds[many] / seconds[few]) / (many / few)
    print(f"cost a study at {many:,} against {few:,} studies (target: no more than 1): {growth:.2f}")


if __name__ == "__main__":
    main()
