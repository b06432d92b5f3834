"""`harness run`: a suite over a cohort and a candidate, to the verdict."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engines.base import Engine


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "run",
        help="judge a candidate: suite + cohort + candidate -> ledger and verdict",
        description="Judges a candidate. Given again, it goes on where it stopped; a complete run "
        "is only read. Exit code: that of the verdict.",
    )
    verb.add_argument("suite", type=Path, help="suite file, such as suites/regulatory.yaml")
    verb.add_argument(
        "--candidate",
        required=True,
        metavar="KIND[:PATH]",
        help="who is judged: template, multimodal:DIR, onnx:DIR, predictions:FILE, models:/NAME@ALIAS",
    )
    verb.add_argument(
        "--cohort",
        required=True,
        metavar="KIND:PATH",
        help="on whom: phantom:DIR, mimic-cxr:DIR, openi:DIR, manifest:FILE; options after ?",
    )
    verb.add_argument("--out", required=True, type=Path, metavar="RUN", help="run folder")
    verb.add_argument(
        "--lock",
        type=Path,
        metavar="FILE",
        help="refuse to run unless this lock (harness lock) still matches",
    )
    verb.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="candidate processes; default: one a core, or with --engine ray one a GPU",
    )
    verb.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the work runs: processes of this machine, or a Ray cluster; the ledger is the same",
    )
    verb.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="with --engine ray: the cluster; default: that of RAY_ADDRESS, or of this machine",
    )
    verb.add_argument(
        "--annotations",
        type=Path,
        metavar="DIR",
        help="folder of labels and graphs to share between runs, so that no text is read twice "
        "(holds words of reports); default: in the run folder",
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Runs the suite and prints the verdict."""
    from harness.candidates import open_candidate
    from harness.cli.terminal import progress, show_verdict
    from harness.cohorts import open_cohort
    from harness.errors import HarnessError
    from harness.run import Request, execute
    from harness.suite import read_suite
    from harness.verdict import Verdict

    if options.workers is not None and options.workers < 1:
        raise HarnessError("--workers must be 1 or more")
    if options.engine == "local" and options.address is not None:
        raise HarnessError("--address names a Ray cluster; give --engine ray with it")
    if options.engine == "ray" and options.annotations is not None:
        raise HarnessError("--annotations is a folder of this machine; --engine ray keeps nothing in it")
    suite = read_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    with progress() as show:
        ledger = execute(
            Request(
                suite=options.suite,
                cohort=open_cohort(options.cohort, **wanted),
                cohort_locator=options.cohort,
                candidate=open_candidate(options.candidate),
                candidate_locator=options.candidate,
                out=options.out,
                lock=options.lock,
                annotations=options.annotations,
                engine=_engine(options),
            ),
            show,
        )
    results = ledger.results()
    show_verdict(results)
    print(f"\nRun folder   {options.out}")
    print(f"Ledger       sha256 {results['ledger']}")
    print(f"Next         harness gate {options.out}")
    print(f"             harness report {options.out}")
    return Verdict.from_json(results["verdict"]).status.exit_code


def _engine(options: argparse.Namespace) -> Engine:
    from harness.engines.local import LocalEngine, default_workers

    if options.engine == "local":
        return LocalEngine(options.workers or default_workers())
    from harness.engines.ray import RayEngine, connect

    engine = RayEngine(options.address or "auto", options.workers)
    connect(engine.address)  # before anything long is begun; Ray leaves the cluster when this process ends
    return engine
