"""The whole line over generated cohorts of growing size: time, memory and studies a second of each step.

    python benchmarks/bench_scale.py                        # 2,000 and 20,000 studies
    python benchmarks/bench_scale.py 2000 20000 377110      # MIMIC-CXR's number of images

Reports come from the phantom's language, so that the labels are known; predictions are the same reports,
one study late. The suite is `regulatory.yaml` without its graph measure and without its limit of 2,000
studies. RadGraph would add one pass of a model over each different text (`bench_radgraph.py` measures it),
and nothing to the other steps. Each size runs in processes of its own. Memory is that of the process tree,
shared pages counted once a process.

Time is processor time of the tree as well as wall time: on a busy machine only the former can be compared.
"""

from __future__ import annotations

import argparse
import csv
import gc
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.candidates import open_candidate
from harness.cohorts import open_cohort
from harness.data_files import data_path
from harness.engines.local import LocalEngine
from harness.gate import judge
from harness.labels import open_labeler, read_texts, write_csv
from harness.monitoring.scale import Measured, Need, needed
from harness.phantom.language import describe
from harness.phantom.sampling import patient_visits
from harness.report import FINDINGS, State
from harness.run import Request, execute
from harness.score import Columns, joined, score

SIZES = (2_000, 20_000)
WORKERS = 2
CANDIDATE_S = 0.05
"""Of the estimate: seconds a study on one GPU."""
_CODE = {State.POSITIVE: "1", State.NEGATIVE: "0", State.UNCERTAIN: "-1", State.NOT_MENTIONED: ""}
_PERIOD_S = 0.2
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step took."""

    name: str
    wall_s: float
    processor_s: float
    peak_bytes: int


def rows(studies: int) -> Iterator[Row]:
    """So many phantom reports with what a manifest holds; one patient is held at a time."""
    count, patient = 0, 0
    while True:
        for visit in patient_visits(20261, patient):
            scene = visit.scene
            words = describe(scene, np.random.default_rng([20261, patient, visit.visit]))
            yield {
                "study_id": f"s{count:07}",
                "patient_id": f"p{patient:07}",
                "split": "test",
                "age": str(scene.age),
                "sex": scene.sex.value,
                "race": scene.race,
                "group:view": "+".join(view.value for view in scene.views),
                "group:edge_case": scene.edge_case.value,
                "findings": words.findings,
                "impression": words.impression,
                **{str(finding): _CODE[words.states[finding]] for finding in FINDINGS},
            }
            count += 1
            if count == studies:
                return
        patient += 1


def write_cohort(folder: Path, studies: int) -> None:
    """A manifest, predictions for it, and the suite; written as they are made."""
    late: Row = {"findings": "", "impression": "No acute cardiopulmonary process."}
    texts = ("study_id", "findings", "impression", "report")
    with (
        (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as manifest,
        (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as predictions,
        (folder / "references.csv").open("w", encoding="utf-8", newline="") as references,
    ):
        into = [csv.DictWriter(stream, texts) for stream in (predictions, references)]
        for writer in into:
            writer.writeheader()
        own: Any = None
        for row in rows(studies):
            if own is None:
                own = csv.DictWriter(manifest, list(row))
                own.writeheader()
            own.writerow(row)
            for writer, told in zip(into, (late, row), strict=True):
                sections = {name: told[name] for name in ("findings", "impression")}
                whole = " ".join(filter(None, sections.values()))
                writer.writerow({"study_id": row["study_id"], **sections, "report": whole})
            late = row
    suite = yaml.safe_load((data_path("suites") / "regulatory.yaml").read_text(encoding="utf-8"))
    del suite["graphs"], suite["cohort"]["studies"]
    suite["measures"].remove("radgraph_f1")
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")


class Watch:
    """Wall time, processor time and peak memory of this process and its children, step by step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._peak, self._ended = 0, threading.Event()
        self._children: dict[int, float] = {}
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        self._mark = (time.perf_counter(), self._processor())

    def end(self, name: str) -> None:
        """What was done since the last step was step `name`; once more adds to it."""
        now = (time.perf_counter(), self._processor())
        wall, processor = (new - old for new, old in zip(now, self._mark, strict=True))
        peak, self._peak, self._mark = max(self._peak, self._memory()), 0, now
        if self.steps and self.steps[-1].name == name:
            last = self.steps.pop()
            wall, processor = wall + last.wall_s, processor + last.processor_s
            peak = max(peak, last.peak_bytes)
        self.steps.append(Step(name, wall, processor, peak))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step."""
        yield
        self.end(name)
        gc.collect()

    def stop(self) -> None:
        """Ends the sampling."""
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._peak = max(self._peak, self._memory())

    def _memory(self) -> int:
        total = 0
        for process in _tree(os.getpid()):
            try:
                total += int((process / "statm").read_text().split()[1]) * _PAGE
                if process.name != str(os.getpid()):
                    used = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
                    self._children[int(process.name)] = sum(map(int, used)) / _TICKS
            except (OSError, IndexError):  # it has just ended
                continue
        return total

    def _processor(self) -> float:
        self._memory()
        return time.process_time() + sum(self._children.values())


def _tree(process: int) -> Iterator[Path]:
    """The folders under /proc of a process and of all below it."""
    own = Path("/proc", str(process))
    yield own
    try:
        below = [child for task in own.glob("task/*/children") for child in task.read_text().split()]
    except OSError:
        return
    for child in below:
        yield from _tree(int(child))


def line(folder: Path, studies: int) -> list[Step]:
    """Generates a cohort and takes it down the whole line."""
    watch = Watch()
    with watch.step("generate"):
        write_cohort(folder, studies)
    with watch.step("open the cohort"):
        cohort = open_cohort(f"manifest:{folder / 'manifest.csv'}", split="test")
    names = {"reading studies": "digest studies", "asking the candidate": "ask the candidate",
             "measuring": "label and measure", "estimating": "infer and decide"}  # fmt: skip

    def progress(step: str, done: int, total: int) -> None:
        if done == total:  # of "reading studies" once, and of the others at each end
            watch.end(names[step])

    request = Request(
        suite=folder / "suite.yaml",
        cohort=cohort,
        cohort_locator="manifest",
        candidate=open_candidate(f"predictions:{folder / 'predictions.csv'}"),
        candidate_locator="predictions",
        out=folder / "run",
        engine=LocalEngine(WORKERS),
    )
    execute(request, progress)
    watch.end("close the ledger")
    del cohort, request
    gc.collect()
    with watch.step("gate: derive again"):
        judge(folder / "run")
    with watch.step("harness label"), (folder / "labels.csv").open("w", encoding="utf-8") as stream:
        texts = read_texts(folder / "predictions.csv", "study_id", ["report"])
        write_csv(stream, "study_id", open_labeler("rules"), texts)
    with watch.step("harness score bleu4,rougeL"):
        columns = Columns("report", "study_id")
        score(joined(folder / "predictions.csv", folder / "references.csv", columns, columns),
              ["bleu4", "rougeL"])  # fmt: skip
    watch.stop()
    return watch.steps


def _apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a process of its own, for its own memory."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(target=_into, args=(results, work, *arguments))
    child.start()
    found = results.get()
    child.join()
    return found


def _into(results: Any, work: Callable[..., Any], *arguments: Any) -> None:
    results.put(work(*arguments))


def show(studies: int, steps: list[Step]) -> None:
    """One table."""
    print(f"\n{studies:,} studies\n{'step':28}{'wall s':>9}{'CPU s':>9}{'studies/s':>11}{'peak MB':>9}")
    for item in steps:
        print(f"{item.name:28}{item.wall_s:9.1f}{item.processor_s:9.1f}"
              f"{studies / max(item.wall_s, 1e-9):11,.0f}{item.peak_bytes / 1e6:9,.0f}")  # fmt: skip
    judged = steps[1:]
    print(f"{'whole, without generating':28}{sum(item.wall_s for item in judged):9.1f}"
          f"{sum(item.processor_s for item in judged):9.1f}"
          f"{studies / sum(item.wall_s for item in judged):11,.0f}"
          f"{max(item.peak_bytes for item in judged) / 1e6:9,.0f}")  # fmt: skip


def main() -> None:
    """Prints a table a size, how the cost of a study grows, and what a year and a cluster need."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    options = parser.parse_args()
    found: dict[int, dict[str, float]] = {}
    for studies in options.sizes:
        with tempfile.TemporaryDirectory() as name:
            steps: list[Step] = _apart(line, Path(name), studies)
        show(studies, steps)
        sys.stdout.flush()
        found[studies] = {item.name: item.processor_s for item in steps[1:]}
    few, many = min(found), max(found)
    if few == many:
        return
    cost = {studies: sum(found[studies].values()) / studies for studies in (few, many)}
    print(f"\nCPU a study at {many:,} over that at {few:,} studies (target: 1 or less): "
          f"{cost[many] / cost[few]:.2f}")  # fmt: skip
    # What a study more costs: what every process begins with is paid once.
    more = {name: (found[many][name] - found[few][name]) / (many - few) for name in found[few]}
    print(
        "ms of CPU for a study more: " + ", ".join(f"{name} {each * 1e3:.2f}" for name, each in more.items())
    )
    measured = Measured(
        candidate_s=CANDIDATE_S,
        handling_s=more["open the cohort"] + more["digest studies"] + more["ask the candidate"],
        reading_s=more["label and measure"],
        concluding_s=more["infer and decide"] + more["gate: derive again"],
    )
    for need in (Need(studies=many, gpus=1), Need(studies=377_110, gpus=1), Need(studies=2_300_000, gpus=1),
                 Need(studies=2_300_000, gpus=32, cores=64)):  # fmt: skip
        print(needed(measured, need))


if __name__ == "__main__":
    main()
