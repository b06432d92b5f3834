"""`harness phantom make`: generate a cohort in which everything is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser("phantom", help="the generated cohort: make it")
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
