"""`harness lock`: fix the protocol before the data are judged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "lock",
        help="write down the digests of suite and cohort before a run",
        description="Writes a lock: the digests of the suite and of every study that it will be "
        "asked about. `harness run --lock FILE` refuses to run when they no longer match.",
    )
    verb.add_argument("suite", type=Path)
    verb.add_argument("--cohort", required=True, metavar="KIND:PATH")
    verb.add_argument("--out", required=True, type=Path, metavar="FILE")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Writes a lock."""
    from harness.cohorts import open_cohort
    from harness.lock import write_lock
    from harness.run import choose, manifest_digest
    from harness.suite import read_suite

    suite = read_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    cohort = open_cohort(options.cohort, **wanted)
    chosen = choose(suite, cohort)
    digest, _ = manifest_digest(cohort, chosen)
    lock = write_lock(options.out, suite, digest, len(chosen))
    print(f"{options.out}: suite {suite.name} and {len(chosen):,} studies locked at {lock['locked_at']}")
    return 0
