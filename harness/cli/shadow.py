"""`harness shadow`: a new model beside production, on the same studies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.staging.shadow import Shadow

DESCRIPTION = """\
Compares a new model with the one in production on the same studies, for a declared window. Harm is
looked for on a declared schedule, and stops it; non-inferiority is decided once, at the end. Between
looks nothing is compared. Looks, verdict and how far the stream was read go into a hash-chained log;
given again, it goes on where it stopped.

  harness shadow suites/staging/shadow.yaml --stream pairs.jsonl --follow 60

STREAM holds a JSON line (or Parquet row) a study:
  {"study_id": "s1", "patient_id": "p1", "time": "2026-01-05T08:15:02Z",
   "production": {"version": "3", "findings": ["Pneumothorax"], "latency_s": 6.1},
   "shadow": {"version": "4", "findings": [], "detected": [], "latency_s": 5.2}}
(findings, or the whole side of the new model, null: no report came, and it missed every finding;
"report" with the text in place of findings, if the declaration names a labeler), and one a reading:
  {"kind": "reading", "study_id": "s1", "time": "...", "reference": ["Pneumothorax"]}
{"kind": "clock", "time": "..."} tells the time when nothing else does. Of several records of a study
what is worse for the new model counts; where a record cannot be used, it passes only if it would have
passed with the worst in its place. For two runs over a cohort see harness compare.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "shadow",
        help="a new model beside production: non-inferior, or stopped for harm",
        description=DESCRIPTION,
        epilog="exit codes: 0 not worse; 1 worse, or not shown not to be; 2 bad declaration or stream; "
        "3 the window is not over, or too little to tell",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("config", type=Path, help="such as suites/staging/shadow.yaml")
    verb.add_argument("--stream", type=Path, required=True, metavar="PATH", help="file or folder of records")
    verb.add_argument("--out", type=Path, metavar="DIR", help="default: STREAM-shadow beside STREAM")
    verb.add_argument(
        "--looks", type=Path, metavar="FILE", help="log of looks; default: looks.jsonl beside STREAM"
    )
    verb.add_argument("--follow", type=float, metavar="SECONDS", help="read on so often until it is decided")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Compares."""
    import time

    from harness.errors import HarnessError
    from harness.staging.shadow import Shadow
    from harness.staging.shadow_page import write_review, write_verdict
    from harness.status import Status

    if options.follow is not None and not options.follow > 0:
        raise HarnessError("--follow must be above 0 seconds")
    if not options.stream.exists():
        raise HarnessError(f"{options.stream}: no such file or folder; nothing to compare")
    out = options.out or options.stream.with_name(f"{options.stream.stem}-shadow")
    looks = options.looks or options.stream.resolve().with_name("looks.jsonl")
    with Shadow.opened(options.config, options.stream, out, looks) as shadow:
        while True:
            shadow.advance()
            paths = [write_review(shadow)]
            if options.follow is None or shadow.verdict is not None:
                break
            time.sleep(options.follow)
        _show(shadow)
        if shadow.verdict is not None:
            paths += write_verdict(shadow)
        print()
        for path in [*paths, shadow.log.path]:
            print(f"{path.suffix[1:].upper():8} {path}")
        if shadow.verdict is None:
            return Status.NOT_EVALUATED.exit_code
        return Status(shadow.verdict["status"]).exit_code


def _show(shadow: Shadow) -> None:
    from rich.table import Table

    from harness.cli.terminal import STYLE, output
    from harness.staging.shadow_page import points
    from harness.status import Status

    console, verdict, pairs = output(), shadow.verdict, shadow.pairs
    if verdict is not None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Measure", "Production", "New", "Difference (95 %)", "Margin", "Verdict"):
            table.add_column(name, justify="left" if name in ("Measure", "Verdict") else "right")
        for item in verdict["measures"]:
            values = ["–" if item[key] is None else f"{item[key]:.2%}" for key in ("current", "challenger")]
            status = Status(item["status"])
            table.add_row(
                item["label"], *values,
                f"{points(item['difference'])} ({points(item['low'])} to {points(item['high'])})",
                points(item["margin"], ""), f"[{STYLE[status]}]{status}",
            )  # fmt: skip
        console.print(table)
        console.print()
        for item in verdict["measures"]:
            if item["status"] != "PASS":
                console.print(f"{item['id']}: {item['reason']}", markup=False)
        for line in verdict["reasons"]:
            console.print(line, markup=False)
    for look in shadow.looks:
        least = min((item["p_value"] for item in look["harm"]), default=1.0)
        when = "end" if look["share"] == 1 else f"{look['share']:.0%} of information"
        console.print(
            f"Look at {when}: smallest p {least:.2g}, stops below {look['level']:.2g}",
            markup=False,
            style="dim",
        )
    for kind, count in sorted(shadow.faults.counts.items()):
        places = ", ".join(shadow.faults.places[kind])
        console.print(f"Stream: {kind}: {count:,}, such as {places}", markup=False)
    apart = sum(bool(pair.disagreement) for pair in pairs.pairs.values())
    console.print(
        f"{len(pairs.pairs):,} studies, {sum(study in pairs.readings for study in pairs.pairs):,} read, "
        f"{pairs.positives:,} of {shadow.config.planned_positives:,} planned critical findings; "
        f"{apart:,} disagree on a critical finding",
        markup=False, style="dim",
    )  # fmt: skip
    if verdict is None:
        why = "the window, and the time for its readings, are not over"
        if not pairs.pairs:
            why = (
                "no record of the stream so far is of a study that both models reported; see --help for them"
            )
        console.print(f"\nVerdict: [{STYLE[Status.NOT_EVALUATED]}]NOT EVALUATED[/]: {why}")
    else:
        console.print(f"\n{verdict['reason']}", markup=False)
        status = Status(verdict["status"])
        console.print(f"Verdict: [{STYLE[status]}]{status}")
