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
        "asked about. `harness run --lock FILE` refuses to run when they no longer match, and counts each "
        "run in looks.jsonl in the lock's folder.",
    )
    verb.add_argument("suite", type=Path)
    verb.add_argument("--cohort", required=True, metavar="KIND:PATH")
    verb.add_argument("--out", required=True, type=Path, metavar="FILE")
    verb.add_argument(
        "--candidate", metavar="KIND[:PATH]", help="the only candidate that may be judged under the lock"
    )
    verb.add_argument(
        "--family", metavar="NAME", help="candidates that count together; default: those of a kind"
    )
    verb.add_argument(
        "--looks",
        type=int,
        default=1,
        metavar="N",
        help="how often candidates of the family are planned to be judged on these studies; default: 1",
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Writes a lock."""
    from harness.candidates import open_candidate
    from harness.cohorts import open_cohort
    from harness.errors import HarnessError
    from harness.lock import write_lock
    from harness.run import choose, manifest_digest
    from harness.suite import read_suite

    if options.looks < 1:
        raise HarnessError("--looks must be 1 or more")
    suite = read_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    cohort = open_cohort(options.cohort, **wanted)
    chosen = choose(suite, cohort)
    digest, digests = manifest_digest(cohort, chosen)
    candidate = open_candidate(options.candidate).digest() if options.candidate else None
    lock = write_lock(
        options.out,
        suite,
        digest,
        len(chosen),
        study_digests=digests,
        candidate=candidate,
        family=options.family,
        looks=options.looks,
    )
    print(f"{options.out}: suite {suite.name} and {len(chosen):,} studies locked at {lock['locked_at']}")
    return 0
