"""`harness phantom`: generate a cohort, or a production stream, in which everything is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser("phantom", help="generated data: a cohort, DICOM files, a production stream")
    inner = verb.add_subparsers(dest="what", metavar="WHAT", required=True)
    make = inner.add_parser(
        "make",
        help="generate a cohort in MIMIC-CXR's layout",
        description="Generates chest phantoms with known findings, in the layout of MIMIC-CXR-JPG. "
        "The same numbers give the same bytes.",
    )
    make.add_argument("--studies", type=int, required=True, metavar="N")
    make.add_argument("--seed", type=int, required=True, metavar="S")
    make.add_argument("--out", type=Path, required=True, metavar="DIR")
    make.add_argument(
        "--test-share", type=float, default=0.2, metavar="F", help="share of patients in the test split (0.2)"
    )
    make.set_defaults(act=act)
    dicom = inner.add_parser(
        "dicom",
        help="write a cohort's pictures as DICOM files, for harness serve or a PACS",
        description="Writes every picture of a phantom cohort as a DICOM file, its identifiers derived from "
        "study and picture.",
    )
    dicom.add_argument("cohort", type=Path, metavar="DIR", help="what harness phantom make wrote")
    dicom.add_argument("--out", type=Path, required=True, metavar="DIR")
    dicom.set_defaults(act=act_dicom)
    stream = inner.add_parser(
        "stream",
        help="simulate production with a planted event, for harness monitor",
        description="Writes reference.jsonl, production/ and monitor.yaml: records of phantom studies as a "
        "report service would write them, with embeddings of the tiny ViT, and one planted event or none.",
    )
    stream.add_argument("--days", type=int, required=True, metavar="N")
    stream.add_argument("--per-day", type=float, required=True, metavar="N", help="studies a day")
    stream.add_argument("--seed", type=int, required=True, metavar="S")
    stream.add_argument("--out", type=Path, required=True, metavar="DIR")
    stream.add_argument(
        "--event",
        choices=("none", "scanner", "recall", "surge", "latency"),
        default="none",
        help="at 09:00 of day 14 (counted from 0): less contrast and more noise; pleural effusion's recall "
        "falls by 6 points; 2.5 times as many pneumothoraces; 6 hours of five times the latency",
    )
    stream.set_defaults(act=act_stream)


def act(options: argparse.Namespace) -> int:
    """Makes a phantom cohort."""
    from harness.cli.terminal import progress
    from harness.engines.local import default_workers
    from harness.phantom import make_phantom

    with progress() as show:
        make_phantom(
            options.out,
            options.studies,
            options.seed,
            test_share=options.test_share,
            workers=default_workers(),
            progress=lambda done: show("drawing phantoms", done, options.studies),
        )
    print(f"{options.out}: {options.studies:,} studies, seed {options.seed}")
    return 0


def act_dicom(options: argparse.Namespace) -> int:
    """Writes DICOM files."""
    from harness.cohorts.phantom import PhantomCohort
    from harness.phantom.dicom import write_dicom

    count = write_dicom(PhantomCohort(options.cohort, split=None, views="all"), options.out)
    print(f"{options.out}: {count:,} DICOM files")
    return 0


def act_stream(options: argparse.Namespace) -> int:
    """Simulates production."""
    from harness.monitoring.simulate import Plan, make_pool, write_stream

    plan = Plan(options.days, options.per_day, options.seed, options.event)
    write_stream(options.out, plan, make_pool)
    print(f"{options.out}: {options.days} days, event: {options.event}")
    print(f"Next     harness monitor --config {options.out / 'monitor.yaml'}")
    return 0
