"""What the harness adds to a candidate that takes 50 ms a study: start, asking, measuring, deciding.

    python benchmarks/bench_overhead.py            # 2,000 studies, as many as regulatory.yaml asks for
    python benchmarks/bench_overhead.py 5000

The candidate's own time is that of the same calls without the harness. Only what a worker process needs is
imported on top: it reads this file too, as it would the `harness` command's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from harness.candidates.base import Candidate
from harness.report import Report
from harness.study import Study

CANDIDATE_S = 0.05
TARGET = 0.05


class Busy(Candidate):
    """Takes its time, as a model does, and writes a report of ordinary length."""

    name = "busy"

    def digest(self) -> str:
        """Of nothing."""
        return "0" * 64

    def report(self, study: Study) -> Report:
        """After 50 ms of doing nothing, so that the processor is the harness's."""
        time.sleep(CANDIDATE_S)
        text = "The lungs are clear. There is no pleural effusion or pneumothorax. " * 3
        return Report(report_id=study.study_id, findings_text=text, impression="No acute process.")


def main() -> None:
    """Prints where the time goes."""
    from bench_scale import write_cohort

    from harness.cohorts import open_cohort
    from harness.run import Request, execute

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("studies", nargs="?", type=int, default=2000)
    studies: int = parser.parse_args().studies
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder, studies)
        cohort = open_cohort(f"manifest:{folder / 'manifest.csv'}", split="test")
        few = [cohort[index].study for index in range(min(studies, 200))]
        began = time.perf_counter()
        for study in few:
            Busy().report(study)
        each = (time.perf_counter() - began) / len(few)
        marks: list[tuple[str, int, float]] = []
        began = time.perf_counter()
        request = Request(
            suite=folder / "suite.yaml",
            cohort=open_cohort(f"manifest:{folder / 'manifest.csv'}", split="test"),
            cohort_locator="manifest",
            candidate=Busy(),
            candidate_locator="busy",
            out=folder / "busy",
        )
        execute(request, lambda step, done, total: marks.append((step, done, time.perf_counter() - began)))
        whole, own = time.perf_counter() - began, studies * each
    asking = [(done, at) for step, done, at in marks if step == "asking the candidate" and done]
    (first, early), (last, late) = asking[0], asking[-1]
    harness = (late - early) - (last - first) * each
    print(f"{studies:,} studies, {each * 1000:.1f} ms each for the candidate, {own:.1f} s; the harness adds")
    for told, seconds in (
        ("before the first answer", early - first * each),
        ("while it asks", harness),
        ("measuring, estimating, deciding", whole - late),
        (f"all together (target {TARGET:.0%})", whole - own),
    ):
        print(f"  {told:34}{seconds:6.1f} s {seconds / own:+7.1%}")


if __name__ == "__main__":
    main()
