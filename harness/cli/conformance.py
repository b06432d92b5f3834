"""`harness conformance`: does a service keep the report contract?"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Puts the contract's cases, and requests made from its OpenAPI description, to a service that runs. Cases
that need a study ask for the first one of a cohort whose pictures the service has, and for as many as may
be needed to find some whose reports differ.

  harness phantom dicom cohorts/phantom --out dicom
  harness serve --candidate template --images folder:dicom &
  harness conformance http://127.0.0.1:8080 --cohort phantom:cohorts/phantom --json conformance.json
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "conformance",
        help="does a report service keep its HTTP contract?",
        description=DESCRIPTION,
        epilog="exit codes: 0 it does; 1 a case failed; 2 bad input; 3 not evaluated",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "url", metavar="URL", help="of the service; ?token_env=NAME&ca=FILE as for --candidate http:URL"
    )
    verb.add_argument("--cohort", metavar="KIND:PATH", help="studies that the service has")
    verb.add_argument("--suite", type=Path, metavar="FILE", help="default: the api suite that comes along")
    verb.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Asks and prints."""
    from rich.markup import escape
    from rich.table import Table

    from harness.candidates import open_candidate
    from harness.candidates.http.candidate import HttpCandidate
    from harness.candidates.http.requests import request_of
    from harness.cli.terminal import STYLE, output, progress
    from harness.cohorts import open_cohort
    from harness.conformance.judge import judge_service, write_conformance
    from harness.conformance.suite import read_api_suite
    from harness.data_files import data_path
    from harness.errors import CandidateError, CohortError

    suite = read_api_suite(options.suite or data_path("suites") / "api.yaml")
    candidate = open_candidate(f"http:{options.url}")
    assert isinstance(candidate, HttpCandidate)  # noqa: S101  # of that kind
    requests = []
    if options.cohort:
        cohort = open_cohort(options.cohort)
        if not len(cohort):
            raise CohortError("the cohort holds no study")
        requests = [request_of(cohort[0].study)]
        # Twice as many as are asked at a time, since some of the reports are alike; a later study that cannot
        # be asked for, such as one of no picture, is no reason to ask nothing.
        for index in range(1, min(len(cohort), 2 * suite.at_once)):
            with contextlib.suppress(CandidateError):
                requests.append(request_of(cohort[index].study))
    with progress() as show:
        found = judge_service(suite, candidate.endpoint, requests, show)
    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Case", "Verdict", "Told"):
        table.add_column(name, overflow="fold")
    for item in found.cases:
        table.add_row(item.case, f"[{STYLE[item.status]}]{item.status}", escape(item.told))
    console.print(table)
    console.print(f"\nConformance: [{STYLE[found.status]}]{found.status}")
    if options.json:
        write_conformance(options.json, found)
        console.print(f"JSON     {options.json}", markup=False, soft_wrap=True)
    return found.status.exit_code
